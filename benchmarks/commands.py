"""What ``manage.py litestream`` adds to Litestream's own time and memory."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from django_litestream.binaries import find_executable
from tests.project import Project, stop, wait_until

from .comparison import Comparison, in_turns
from .replicated_project import MEGABYTE, ReplicatedProject, fill
from .results import Table


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


def verify_beside_restore(project: Project, runs: int) -> Comparison:
    restored = project.directory / "restored.sqlite3"
    restore: list[str | Path] = [
        find_executable(),
        "restore",
        "-o",
        restored,
        project.replica.as_uri(),
    ]

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


def measure(megabytes: Sequence[int], runs: int) -> Iterator[Table]:
    """Measure ``verify`` with databases of those sizes, the others with a small one."""
    with tempfile.TemporaryDirectory() as directory:
        project = ReplicatedProject(Path(directory).resolve() / "project")
        project.create_database()
        try:
            rows = list(_rows(project, megabytes, runs))
        finally:
            project.remove_private_files()
    yield Table(
        title="Commands",
        note="What `manage.py litestream` adds to Litestream's own time and memory.",
        columns=("what", "ours", "bare", "ratio", "difference"),
        rows=rows,
    )


def _rows(
    project: ReplicatedProject, megabytes: Sequence[int], runs: int
) -> Iterator[Sequence[str]]:
    yield _row("daemon, resident memory (MB)", daemon_memory(project, runs), 1)
    start = subcommand_beside_check(project, runs)
    yield _row("`version`, beside `manage.py check` (s)", start, 3)
    for size in megabytes:
        shutil.rmtree(project.replica, ignore_errors=True)
        shutil.rmtree(project.directory / ".db.sqlite3-litestream", ignore_errors=True)
        fill(project.database, size * MEGABYTE)
        with project.replicating():
            project.wait_for_replica()
            compared = verify_beside_restore(project, runs)
        yield _row(f"`verify`, beside `restore`, {size} MB (s)", compared, 3)


def _row(name: str, measured: Comparison, digits: int) -> Sequence[str]:
    return (
        name,
        f"{measured.ours:.{digits}f}",
        f"{measured.theirs:.{digits}f}",
        f"{measured.ratio:.2f}",
        f"{measured.difference:+.{digits}f}",
    )
