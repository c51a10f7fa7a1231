"""A backup that would not give the database back is bad."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from .project import Project, linux, take_away, wait_until
from .verified import (
    BAD,
    GOOD,
    assert_one_line,
    change_behind_litestream,
    copy_replica,
    newest_file,
)


def test_a_stale_replica_is_bad(project: Project) -> None:
    """The daemon replicates, but not to where the settings say the backup is."""
    with project.replicating():
        stale = copy_replica(project, "stale")
        project.litestream["dbs"][0]["replica"]["path"] = str(stale)
        project.write_settings()
        completed = project.run("verify", "-timeout", "2")
    assert completed.returncode == BAD
    assert "took nothing new within 2 s, though a daemon" in assert_one_line(completed)


@linux
@pytest.mark.parametrize("linked", [False, True])
@pytest.mark.parametrize("kept", [False, True], ids=["deleted", "moved away"])
def test_a_database_that_was_replaced_under_the_daemon_is_bad(
    project: Project, linked: bool, kept: bool
) -> None:
    if linked:
        link = project.directory / "link.sqlite3"
        link.symlink_to(project.database)
        project.databases["default"] = project.sqlite(link)
        project.write_settings()
    with project.replicating():
        assert project.run("verify").returncode == GOOD
        assert project.run("sync", "-wait", "default").returncode == 0
        other = project.directory / "other.sqlite3"
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute("VACUUM INTO ?", [str(other)])
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        for beside in ("", "-wal", "-shm"):
            file = Path(f"{project.database}{beside}")
            if kept:
                file.rename(project.directory / f"before{beside}")
            else:
                file.unlink()
        other.rename(project.database)
        completed = project.run("verify", "-timeout", "2")
        synced = project.run("sync", "-wait", "default")
    assert completed.returncode == BAD
    assert "replicates a file that was at" in assert_one_line(completed)
    assert synced.returncode == 1
    assert "replicates a file that was at" in assert_one_line(synced)


@pytest.mark.parametrize("keep", [0, 50, 150])
def test_a_truncated_file_is_bad(project: Project, keep: int) -> None:
    """Damage in a file that nothing has been compacted from yet."""
    project.litestream["levels"] = [{"interval": "12h"}]
    project.write_settings()
    with project.replicating():
        wait_until(lambda: any(project.replica.glob("ltx/9/*.ltx")))
        before = newest_file(project.replica)
        project.insert(100)
        wait_until(lambda: newest_file(project.replica).name != before.name)
        file = newest_file(project.replica)
        file.write_bytes(file.read_bytes()[:keep])
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "The replica cannot be restored" in assert_one_line(completed)


def test_a_replica_deleted_under_the_daemon_is_bad_until_it_has_a_snapshot(
    project: Project,
) -> None:
    with project.replicating():
        # The daemon's first snapshot is due about a second after its start. What is
        # still being uploaded would be uploaded again, and be a good backup.
        wait_until(
            lambda: (
                {path.parent.name for path in project.replica.glob("ltx/*/*.ltx")}
                >= {"0", "9"}
            )
        )
        take_away(project.replica)
        completed = project.run("verify")
        assert completed.returncode == BAD
        assert "cannot be restored" in assert_one_line(completed)


def test_a_stopped_database_is_bad(project: Project) -> None:
    with project.replicating():
        assert project.run("stop", "default").returncode == 0
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "manage.py litestream start" in assert_one_line(completed)


def test_a_broken_page_in_the_backup_is_bad(project: Project) -> None:
    """The replica restores, but what it holds is not a sound database."""
    with project.replicating():
        pass
    # Litestream copies pages as they are: make the damage in the source.
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("CREATE INDEX by_text ON note (text)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'by_text'")
        connection.commit()
    with project.replicating():
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "integrity check" in assert_one_line(completed)


def test_a_sound_backup_that_lacks_a_change_is_bad(project: Project) -> None:
    with project.replicating():
        assert project.run("verify").returncode == GOOD
    # Ended, Litestream has left all in the file and nothing in the WAL.
    change_behind_litestream(project)
    with project.replicating():
        completed = project.run("verify")
        assert completed.returncode == BAD
        assert "pages differ, page " in assert_one_line(completed)
    assert project.run("replicate", "-once", "-force-snapshot").returncode == 0
    with project.replicating():
        assert project.run("verify").returncode == GOOD


def test_one_bad_among_good_ones_is_named(project: Project) -> None:
    other = project.directory / "other.sqlite3"
    shutil.copy(project.database, other)
    project.databases["other"] = project.sqlite(other)
    project.litestream["dbs"].append(
        {"path": "other", "replica": {"type": "file", "path": str(other) + ".d"}}
    )
    project.write_settings()
    with project.replicating():
        assert project.run("stop", "other").returncode == 0
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert completed.stdout.startswith("default: good")
    assert assert_one_line(completed).startswith("CommandError: other: ")
