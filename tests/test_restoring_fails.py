"""A restore that fails, or is killed, takes nothing away."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
from contextlib import closing

import pytest

from .project import PATIENCE, Project, count_rows, linux, wait_until
from .restored import (
    aside,
    beside,
    copy_of,
    litestreams_of,
    lose,
)

pytestmark = linux


MOMENTS = [("-timestamp", "2001-01-01T00:00:00Z"), ("-txid", f"{255:016x}")]


@pytest.mark.parametrize("flags", MOMENTS)
def test_what_cannot_be_restored_replaces_nothing(
    project: Project, flags: tuple[str, ...]
) -> None:
    lose(project)
    project.database.write_bytes(b"a database")
    files = [project.database, *project.directory.glob("db.sqlite3-*")]
    before = {file: file.read_bytes() for file in files}
    assert len(before) == 3
    failed = project.run("restore", "-force", *flags, "default")
    assert failed.returncode == 1
    assert failed.stderr == (
        "CommandError: no matching backup files available of that moment. `manage.py "
        "litestream ltx -level all DATABASE` lists what there is.\n"
    )
    assert {file: file.read_bytes() for file in files} == before
    assert not aside(project).exists()


@pytest.mark.parametrize("flags", [(), *MOMENTS])
def test_an_empty_replica_has_no_other_moments(
    project: Project, flags: tuple[str, ...]
) -> None:
    failed = project.run("restore", "-force", *flags, "default")
    assert failed.returncode == 1
    assert "There is no backup that can be restored there" in failed.stderr


def test_a_backup_that_is_damaged_replaces_nothing(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    project.insert(1)
    for file in project.replica.rglob("*.ltx"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    failed = project.run("restore", "-force", "default")
    assert failed.returncode == 1, failed.stderr
    assert count_rows(project.database) == 11
    assert not aside(project).exists()


def test_a_restore_that_fails_its_check_replaces_nothing(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("CREATE INDEX texts ON note (text)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX texts ON note (number)' "
            "WHERE name = 'texts'"
        )
        connection.commit()
    assert project.run("replicate", "-once").returncode == 0
    inode = project.database.stat().st_ino
    words = ("restore", "-force", "-integrity-check", "full", "default")
    failed = project.run(*words)
    assert failed.returncode == 1, failed.stdout
    assert project.database.stat().st_ino == inode
    assert not aside(project).exists()


def test_an_end_within_a_restore_replaces_nothing(project: Project) -> None:
    """The replica is a pipe, so that Litestream waits in the middle of its work."""
    assert project.run("replicate", "-once").returncode == 0
    project.insert(1)
    (file,) = project.replica.rglob("*.ltx")
    file.unlink()
    os.mkfifo(file)
    command = subprocess.Popen(
        project.command("litestream", "restore", "-force", "default"),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: (aside(project) / project.database.name).exists())
        assert not project.database.exists()
        wait_until(lambda: litestreams_of(command))
        command.terminate()
        assert command.wait(PATIENCE) != 0
    finally:
        for litestream in litestreams_of(command) if command.poll() is None else []:
            os.kill(litestream, signal.SIGKILL)
        command.kill()
        command.wait(PATIENCE)
    assert count_rows(project.database) == 11
    assert not aside(project).exists()


def test_what_a_killed_restore_has_set_aside_is_not_lost(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    aside(project).mkdir()
    refused = project.run("restore", "-force", "default")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: {aside(project)} has the database that was here before a restore "
        "which did not end: move it away, and restore again.\n"
    )
    assert count_rows(project.database) == 10
    aside(project).rmdir()
    assert project.run("restore", "-force", "default").returncode == 0
    assert not aside(project).exists()
    assert count_rows(project.database) == 10


@pytest.mark.parametrize("is_empty", [True, False])
def test_what_is_not_restored_for_lack_of_a_backup_replaces_nothing(
    project: Project, is_empty: bool
) -> None:
    """With -if-replica-exists Litestream ends well where it has restored nothing."""
    moment = () if is_empty else MOMENTS[0]
    if not is_empty:
        assert project.run("replicate", "-once").returncode == 0
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('in the WAL')")
        connection.commit()
        assert beside(project.database, "-wal").stat().st_size
        words = ("restore", "-force", "-if-replica-exists", *moment, "default")
        restored = project.run(*words)
    assert restored.returncode == 0, restored.stderr
    assert not aside(project).exists()
    assert count_rows(project.database) == 11


@pytest.mark.parametrize("flags", [(), *MOMENTS])
def test_a_link_is_replaced_or_kept_as_one(
    project: Project, flags: tuple[str, ...]
) -> None:
    """A relative one leads nowhere from the directory that it is set aside in."""
    assert project.run("replicate", "-once").returncode == 0
    other = project.directory / "other"
    other.mkdir()
    (other / "db.sqlite3").write_bytes(b"a database")
    copy = copy_of(project)
    copy.symlink_to("other/db.sqlite3")
    restored = project.run("restore", "-force", *flags, "-o", str(copy), "default")
    assert restored.returncode == bool(flags), restored.stderr
    assert not beside(copy, ".replaced").exists()
    assert copy.is_symlink() == bool(flags)
    assert (other / "db.sqlite3").read_bytes() == b"a database"
    if not flags:
        assert count_rows(copy) == 10


@pytest.mark.parametrize("is_daemon", [False, True])
def test_what_a_killed_restore_has_set_aside_is_not_passed_over(
    project: Project, is_daemon: bool
) -> None:
    """It may be newer than the backup, which has the place of it otherwise."""
    assert project.run("replicate", "-once").returncode == 0
    files = [*project.directory.glob("db.sqlite3*")]
    aside(project).mkdir()
    for file in files:
        file.rename(aside(project) / file.name)
    refused = project.run(
        *(("replicate", "-once") if is_daemon else ("restore",)),
        *(
            ("-restore-if-db-not-exists",)
            if is_daemon
            else ("-if-db-not-exists", "default")
        ),
    )
    assert (refused.returncode, refused.stderr) == (
        1,
        f"CommandError: {aside(project)} has the database that was here before a restore "
        "which did not end, and may hold commits that the backup lacks: move it back, or "
        "away and restore again.\n",
    )
    assert not project.database.exists()
    kept = project.run("restore", "-o", str(copy_of(project)), "default")
    assert kept.returncode == 0, kept.stderr
