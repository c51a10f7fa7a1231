"""Restores of a project's database, and what they leave beside it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from django_litestream.databases import metadata_beside

from .project import PATIENCE, Project, wait_until


def copy_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3"


def lock_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3.restoring"


def restore(project: Project) -> list[str]:
    return ["restore", "-o", str(copy_of(project)), "default"]


def is_restored(project: Project) -> str:
    return (
        f"CommandError: Another process restores to {copy_of(project)}: wait until it has "
        "ended, or restore elsewhere with -o PATH.\n"
    )


def litestreams_of(command: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    return [int(number) for number in children.read_text().split()]


@contextmanager
def restoring(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Have a restore run for the block that has nothing at its path yet.

    Gives its command and Litestream, which follows the replica and is then frozen.
    """
    assert project.run("replicate", "-once").returncode == 0
    command = subprocess.Popen(
        project.command("litestream", "restore", "-f", *restore(project)[1:]),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    litestream = 0
    try:
        wait_until(copy_of(project).exists)
        (litestream,) = litestreams_of(command)
        os.kill(litestream, signal.SIGSTOP)
        copy_of(project).unlink()
        yield command, litestream
    finally:
        command.kill()
        command.wait(PATIENCE)
        if litestream:
            with suppress(ProcessLookupError):
                os.kill(litestream, signal.SIGKILL)


def beside(database: Path, ending: str) -> Path:
    return database.with_name(f"{database.name}{ending}")


def lose(project: Project) -> None:
    """Replicate ten rows, have a writer killed, and lose the database but not its WAL."""
    assert project.run("replicate", "-once").returncode == 0
    writer = (
        "import os, sqlite3, sys",
        "database = sqlite3.connect(sys.argv[1])",
        "database.execute('DELETE FROM note WHERE number > 5')",
        "database.commit()",
        "os._exit(0)",
    )
    subprocess.run(
        [sys.executable, "-c", "\n".join(writer), project.database], check=True
    )
    assert beside(project.database, "-wal").stat().st_size
    project.database.unlink()


def is_left(file: Path) -> str:
    return (
        f"CommandError: {file} is left of a database that was here, and SQLite would "
        "write it over the restored one: move it away, as it may hold commits that the "
        "backup lacks, and restore again.\n"
    )


def is_replicated(project: Project, target: Path) -> str:
    return (
        f"CommandError: The daemon on {project.socket} replicates {target}, and would go "
        "on with the file that it has open, as would your application: stop both first, "
        "or restore elsewhere with -o PATH.\n"
    )


def is_locked(project: Project, metadata: Path | None = None) -> str:
    lock = (metadata or metadata_beside(project.database)) / "replicate.lock"
    return (
        f"CommandError: A daemon keeps {lock} locked: it may replicate "
        f"{project.database}, and would go on with the file that it has open, as would "
        "your application: stop both first, or restore elsewhere with -o PATH.\n"
    )


def files_of(project: Project) -> set[str]:
    return {path.name for path in project.directory.iterdir()}


def aside(project: Project) -> Path:
    return beside(project.database, ".replaced")
