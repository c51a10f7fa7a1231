"""What ``verify`` is held to."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from .project import Project

GOOD, BAD, UNCHECKED = 0, 1, 2


def newest_file(replica: Path) -> Path:
    return max(
        replica.rglob("*.ltx"), key=lambda path: (path.name, path.stat().st_mtime)
    )


def copy_replica(project: Project, name: str) -> Path:
    copied = project.directory / name
    shutil.copytree(project.replica, copied)
    return copied


@contextmanager
def write_locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def assert_one_line(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.stderr.startswith("CommandError: ")
    assert completed.stderr.count("\n") == 1
    return completed.stderr


def read_locks(pid: int, database: Path) -> list[int]:
    """Return the WAL_READ_LOCK bytes of the wal-index that a process holds.

    They are bytes 123 to 127 (https://sqlite.org/walformat.html#wal_locks).
    """
    inode = Path(f"{database}-shm").stat().st_ino
    fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [
        int(first)
        for *_, owner, file, first, _ in fields
        if owner == str(pid) and file.endswith(f":{inode}") and 123 <= int(first) <= 127
    ]


def change_behind_litestream(project: Project) -> None:
    """Change a row in the file itself, as no commit does that Litestream reads."""
    content = project.database.read_bytes()
    assert content.count(b"changed") == 0
    with project.database.open("r+b") as file:
        file.seek(content.index(b"x" * 50))
        file.write(b"changed")
