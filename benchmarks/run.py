"""What ``manage.py litestream`` adds to Litestream's own time and memory.

Every figure is a median of several runs on this machine, and each comparison is
made in turns, so that a machine that slows down slows both sides.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import sqlite3
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from django_litestream.binaries import find_executable
from tests.project import Project, stop, wait_until

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Medians of two things measured in turns, in the same unit."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs


def in_turns(
    ours: Callable[[], float], theirs: Callable[[], float], runs: int
) -> Comparison:
    measured = [(ours(), theirs()) for _ in range(runs)]
    return Comparison(
        ours=statistics.median(one for one, _ in measured),
        theirs=statistics.median(other for _, other in measured),
    )


def seconds(words: Sequence[str | Path], project: Project) -> float:
    start = time.perf_counter()
    subprocess.run(
        words,
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        check=True,
    )
    return time.perf_counter() - start


def fill(database: Path, size: int) -> None:
    """Add rows that do not compress until the file has ``size`` bytes."""
    with closing(sqlite3.connect(database)) as connection:
        while database.stat().st_size < size:
            with connection:
                connection.executemany(
                    "INSERT INTO note (text) VALUES (?)",
                    ((os.urandom(512).hex(),) for _ in range(2_000)),
                )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def verify_beside_restore(project: Project, runs: int) -> Comparison:
    restored = project.directory / "restored.sqlite3"
    restore = [find_executable(), "restore", "-o", restored, project.replica.as_uri()]

    def bare() -> float:
        taken = seconds(restore, project)
        restored.unlink()
        return taken

    verify = project.command("litestream", "verify")
    return in_turns(lambda: seconds(verify, project), bare, runs)


def subcommand_beside_check(project: Project, runs: int) -> Comparison:
    return in_turns(
        lambda: seconds(project.command("litestream", "version"), project),
        lambda: seconds(project.command("check"), project),
        runs,
    )


def daemon_memory(project: Project, runs: int) -> Comparison:
    def ours() -> float:
        with project.replicating() as daemon:
            return resident_megabytes(daemon.pid)

    def theirs() -> float:
        file = project.private_directory / "litestream.yml"
        bare = subprocess.Popen(
            [find_executable(), "replicate", "-config", file],
            stdout=subprocess.DEVNULL,
        )
        try:
            wait_until(project.socket.exists)
            return resident_megabytes(bare.pid)
        finally:
            stop(bare)

    return in_turns(ours, theirs, runs)


def resident_megabytes(pid: int) -> float:
    # What it has mapped in its first moment is not what it settles at.
    time.sleep(1.5)
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024 / MEGABYTE


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--megabytes",
        type=int,
        nargs="+",
        default=[1, 10, 100],
        help="sizes of the databases that are verified",
    )
    parser.add_argument("--runs", type=int, default=5)
    options = parser.parse_args()
    settings.configure()
    with tempfile.TemporaryDirectory() as directory:
        project = Project(Path(directory).resolve() / "project")
        project.create_database()
        # With Litestream's own intervals, unlike in the tests.
        replica = {"type": "file", "path": str(project.replica)}
        project.litestream = {"dbs": [{"path": "default", "replica": replica}]}
        project.write_settings()
        try:
            report(project, options.megabytes, options.runs)
        finally:
            project.remove_private_files()


def report(project: Project, megabytes: Sequence[int], runs: int) -> None:
    row = "{:<46} {:>9} {:>9} {:>7} {:>10}".format
    print(row(f"median of {runs}", "ours", "bare", "ratio", "difference"))
    memory = daemon_memory(project, runs)
    print(
        row(
            "daemon, resident memory (MB)",
            f"{memory.ours:.1f}",
            f"{memory.theirs:.1f}",
            f"{memory.ratio:.2f}",
            f"{memory.ours - memory.theirs:+.1f}",
        )
    )
    start = subcommand_beside_check(project, runs)
    print(timing(row, "version, beside manage.py check (s)", start))
    for size in megabytes:
        fill(project.database, size * MEGABYTE)
        shutil.rmtree(project.replica, ignore_errors=True)
        shutil.rmtree(project.directory / ".db.sqlite3-litestream", ignore_errors=True)
        with project.replicating():
            assert (
                project.run("sync", "-wait", "-timeout", "300", "default").returncode
                == 0
            )
            comparison = verify_beside_restore(project, runs)
        print(timing(row, f"verify, beside restore, {size} MB (s)", comparison))


def timing(row: Callable[..., str], name: str, measured: Comparison) -> str:
    return row(
        name,
        f"{measured.ours:.3f}",
        f"{measured.theirs:.3f}",
        f"{measured.ratio:.2f}",
        f"{measured.ours - measured.theirs:+.3f}",
    )


if __name__ == "__main__":
    main()
