"""Of two restores to one path only one writes, though the first's command is killed."""

from __future__ import annotations

import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from .project import PATIENCE, Project, count_rows, linux, wait_until

pytestmark = linux


def copy_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3"


def lock_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3.restoring"


def restore(project: Project) -> list[str]:
    return ["restore", "-o", str(copy_of(project)), "default"]


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


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_second_restore_to_the_same_path_is_refused(
    project: Project, is_killed: bool
) -> None:
    with restoring(project) as (command, litestream):
        if is_killed:
            command.kill()
            command.wait(PATIENCE)
            assert Path(f"/proc/{litestream}").exists()
        refused = project.run("restore", "-if-db-not-exists", *restore(project)[1:])
        assert refused.returncode == 1
        assert refused.stderr == (
            f"CommandError: Another process restores to {copy_of(project)}: wait until "
            "it has ended, or restore elsewhere with -o PATH.\n"
        )
        os.kill(litestream, signal.SIGKILL)
        wait_until(lambda: project.run(*restore(project)).returncode == 0)
    assert count_rows(copy_of(project)) == 10
    assert not lock_of(project).exists()


def test_what_writes_nothing_is_not_refused(project: Project) -> None:
    with restoring(project):
        planned = project.run("restore", "-dry-run", *restore(project)[1:])
        assert planned.returncode == 0, planned.stderr
        copy_of(project).write_bytes(b"a database")
        kept = project.run("restore", "-if-db-not-exists", *restore(project)[1:])
        assert kept.returncode == 0, kept.stderr
        forced = project.run("restore", "-force", *restore(project)[1:])
        assert forced.returncode == 1
        assert "Another process restores to" in forced.stderr


def test_nothing_is_left_beside_what_was_restored(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    assert project.run(*restore(project)).returncode == 0
    assert not lock_of(project).exists()
    assert project.run(*restore(project)).returncode == 1
    assert not lock_of(project).exists()


def test_the_directory_need_not_be_there(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    copy = project.directory / "new" / "copy.sqlite3"
    assert project.run("restore", "-o", str(copy), "default").returncode == 0
    assert count_rows(copy) == 10
