"""Of two restores to one path the second is refused; of one nothing else is left."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest

from .project import PATIENCE, Project, count_rows, linux, wait_until
from .restored import (
    beside,
    copy_of,
    is_restored,
    lock_of,
    restore,
    restoring,
)

pytestmark = linux


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
        assert (refused.returncode, refused.stderr) == (1, is_restored(project))
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


def test_a_daemon_does_not_restore_beside_another_restore(project: Project) -> None:
    with restoring(project):
        project.litestream["dbs"] = [
            Project.entry(str(copy_of(project)), project.replica)
        ]
        project.write_settings()
        refused = project.run("replicate", "-once", "-restore-if-db-not-exists")
        assert (refused.returncode, refused.stderr) == (1, is_restored(project))
        assert not copy_of(project).exists()


@pytest.mark.parametrize("is_daemon", [False, True])
def test_a_lock_that_cannot_be_taken_is_named(
    project: Project, is_daemon: bool
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    for file in project.directory.glob("db.sqlite3*"):
        file.unlink()
    lock = beside(project.database, ".restoring")
    lock.mkdir()
    refused = project.run(
        *(("replicate", "-once") if is_daemon else ("restore", "default")),
        *(("-restore-if-db-not-exists",) if is_daemon else ()),
    )
    assert (refused.returncode, refused.stderr) == (
        1,
        f"CommandError: {lock} cannot be locked (Is a directory), to keep another restore "
        "away: delete it if no restore runs, or restore elsewhere with -o PATH.\n",
    )
    lock.rmdir()
    assert project.run("restore", "default").returncode == 0


def test_a_name_that_no_lock_can_have_is_refused(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    copy = project.directory / ("n" * 248)
    refused = project.run("restore", "-o", str(copy), "default")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"CommandError: {copy}.restoring cannot be locked (")
