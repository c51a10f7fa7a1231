"""What is left of a lost database is not written over what is restored in its place."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing

import pytest

from .project import Project, count_rows, linux
from .restored import (
    beside,
    copy_of,
    files_of,
    is_left,
    lose,
    restore,
)

pytestmark = linux


@pytest.mark.parametrize(
    "flags", [(), ("-force",), ("-if-db-not-exists",), ("-f",), ("-txid", f"{1:016x}")]
)
def test_a_wal_that_is_left_is_not_written_over_what_is_restored(
    project: Project, flags: tuple[str, ...]
) -> None:
    lose(project)
    before = files_of(project)
    refused = project.run("restore", *flags, "default")
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert files_of(project) == before


@pytest.mark.parametrize("is_empty", [False, True])
@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_is_left_beside_another_path_is_seen(
    project: Project, ending: str, is_empty: bool
) -> None:
    lose(project)
    copy = copy_of(project)
    if is_empty:
        copy.touch()
    shutil.copy(beside(project.database, "-wal"), beside(copy, ending))
    refused = project.run("restore", "-o", str(copy), project.replica.as_uri())
    assert (refused.returncode, refused.stderr) == (1, is_left(beside(copy, ending)))
    assert copy.exists() == is_empty


def test_what_was_moved_away_is_not_in_the_way(project: Project) -> None:
    lose(project)
    wal = beside(project.database, "-wal")
    wal.rename(project.directory / "moved-away")
    # Made of the lost database, it says of the WAL what is no longer so.
    assert beside(project.database, "-shm").stat().st_size
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_is_empty_is_not_in_the_way(project: Project, ending: str) -> None:
    lose(project)
    beside(project.database, "-wal").unlink()
    beside(project.database, ending).touch()
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10
    project.insert(1)
    with closing(sqlite3.connect(project.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert count_rows(project.database) == 11


def test_force_removes_what_is_beside_the_database(project: Project) -> None:
    lose(project)
    shutil.copy(beside(project.database, "-wal"), beside(project.database, "-journal"))
    project.database.write_bytes(b"a database")
    assert project.run("restore", "-force", "default").returncode == 0
    for ending in ("-wal", "-shm", "-journal"):
        assert not beside(project.database, ending).exists()
    assert count_rows(project.database) == 10


def test_a_plan_is_shown_beside_what_is_left(project: Project) -> None:
    lose(project)
    planned = project.run("restore", "-dry-run", "default")
    assert planned.returncode == 0, planned.stderr
    assert "Restore plan" in planned.stdout


def test_a_copy_is_not_followed_beside_what_is_left(project: Project) -> None:
    lose(project)
    wal = beside(copy_of(project), "-wal")
    restored = project.run(*restore(project))
    assert restored.returncode == 0, restored.stderr
    beside(copy_of(project), "-txid").write_text(f"{1:016x}\n")
    shutil.copy(beside(project.database, "-wal"), wal)
    refused = project.run("restore", "-f", *restore(project)[1:])
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))


@pytest.mark.parametrize("is_setting", [False, True])
def test_a_daemon_does_not_restore_beside_what_is_left(
    project: Project, is_setting: bool
) -> None:
    flags = () if is_setting else ("-restore-if-db-not-exists",)
    lose(project)
    project.litestream["dbs"][0]["restore-if-db-not-exists"] = is_setting
    project.write_settings()
    refused = project.run("replicate", "-once", *flags)
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert not project.database.exists()


def test_a_database_named_to_a_daemon_is_not_restored_beside_what_is_left(
    project: Project,
) -> None:
    lose(project)
    project.litestream["dbs"] = [
        Project.entry(str(project.directory / "other.sqlite3"), project.directory / "o")
    ]
    project.write_settings()
    words = ("-restore-if-db-not-exists", "default", project.replica.as_uri())
    refused = project.run("replicate", "-once", *words)
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert not project.database.exists()
