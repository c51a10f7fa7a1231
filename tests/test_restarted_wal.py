"""What is committed while no daemon runs is in the backup of the next one."""

from __future__ import annotations

import sqlite3
import subprocess
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from django_litestream import restarted_wal
from django_litestream.control import Daemon
from django_litestream.databases import metadata_beside
from django_litestream.errors import ConfigurationError
from django_litestream.restarted_wal import empty

from .project import PATIENCE, Project, linux, stop, wait_until

CHANGED = "changed while nothing replicated"


@contextmanager
def kept_open(database: Path) -> Iterator[sqlite3.Connection]:
    """A web worker's connection: the WAL stays when Litestream ends."""
    with closing(sqlite3.connect(database, isolation_level=None)) as connection:
        connection.execute("SELECT count(*) FROM note").fetchone()
        yield connection


def begin_wal_anew(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA wal_checkpoint(PASSIVE)")
    connection.execute("INSERT INTO note (text) VALUES ('more')")


def change(connection: sqlite3.Connection) -> None:
    """Commit a change, checkpoint it as SQLite does by itself, begin the WAL anew."""
    connection.execute("UPDATE note SET text = ? WHERE number = 5", (CHANGED,))
    begin_wal_anew(connection)


def texts(database: Path) -> list[tuple[int, str]]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute("SELECT number, text FROM note").fetchall()


def restored_texts(project: Project) -> list[tuple[int, str]]:
    assert project.restored_rows()
    return texts(project.directory / "restored.sqlite3")


def wal_size(database: Path) -> int:
    return database.with_name(f"{database.name}-wal").stat().st_size


def restart(project: Project, connection: sqlite3.Connection) -> None:
    with project.replicating():
        connection.executemany(
            "INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 300
        )
        assert project.run("verify").returncode == 0
    change(connection)
    with project.replicating():
        assert project.run("verify").returncode == 0


def once(project: Project, connection: sqlite3.Connection) -> None:
    for _ in range(3):
        connection.executemany("INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 99)
        assert project.run("replicate", "-once").returncode == 0
    change(connection)
    assert project.run("replicate", "-once").returncode == 0


def with_a_configuration_of_its_own(
    project: Project, connection: sqlite3.Connection
) -> None:
    typed = project.directory / "typed.yml"
    typed.write_text(project.run("config").stdout)
    once_by(project, connection, "-config", str(typed))


def without_settings(project: Project, connection: sqlite3.Connection) -> None:
    once_by(project, connection, "default", project.replica.as_uri())


def once_by(project: Project, connection: sqlite3.Connection, *named: str) -> None:
    words = ("replicate", "-once", *named)
    for _ in range(3):
        connection.executemany("INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 99)
        assert project.run(*words).returncode == 0
    change(connection)
    assert project.run(*words).returncode == 0


def by_call_command(project: Project, connection: sqlite3.Connection) -> None:
    """A web worker's, which has the database open and goes on."""
    once = "call_command('litestream', 'replicate', '-once')"
    query = "connections['default'].cursor().execute('SELECT count(*) FROM note')"
    script = ("from django.db import connections", query, once, query)
    for _ in range(3):
        connection.executemany("INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 99)
        subprocess.run(project.script(*script), cwd=project.directory, check=True)
    change(connection)
    subprocess.run(project.script(*script), cwd=project.directory, check=True)


def under_a_command_that_is_a_file(
    project: Project, connection: sqlite3.Connection
) -> None:
    command = project.directory / "command"
    command.write_text("#!/bin/sh\nsleep 5\n")
    command.chmod(0o700)
    # With a socket there is more than a file behind -exec.
    project.litestream["socket"] = {"enabled": False}
    project.write_settings()
    connection.executemany("INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 300)
    assert project.run("replicate", "-exec", str(command)).returncode == 0
    change(connection)
    assert project.run("replicate", "-exec", str(command)).returncode == 0


@pytest.mark.parametrize(
    "way",
    [
        restart,
        once,
        by_call_command,
        without_settings,
        with_a_configuration_of_its_own,
        under_a_command_that_is_a_file,
    ],
)
def test_what_is_committed_meanwhile_is_restored(
    project: Project, way: Callable[[Project, sqlite3.Connection], None]
) -> None:
    with kept_open(project.database) as connection:
        way(project, connection)
        there = texts(project.database)
    restored = restored_texts(project)
    assert (5, CHANGED) in there
    assert restored == there


def test_a_database_is_not_started_again_where_commits_were_passed_over(
    project: Project,
) -> None:
    with kept_open(project.database) as connection:
        with project.replicating():
            connection.execute("INSERT INTO note (text) VALUES ('more')")
            assert project.run("verify").returncode == 0
            assert project.run("stop", "default").returncode == 0
            connection.execute("INSERT INTO note (text) VALUES ('meanwhile')")
            assert project.run("start", "default").returncode == 0
            assert project.run("verify").returncode == 0
            assert project.run("stop", "default").returncode == 0
            change(connection)
            started = project.run("start", "default")
            assert started.returncode == 1
            assert "restart `manage.py litestream replicate`" in started.stderr
        with project.replicating():
            assert project.run("verify").returncode == 0
        there = texts(project.database)
    assert restored_texts(project) == there


@pytest.fixture
def hesitating(project: Project) -> Project:
    """A project whose daemon opens a database some time after it has been told to."""
    project.litestream["dbs"][0]["monitor-interval"] = "3s"
    project.write_settings()
    return project


def replicate_some(project: Project, connection: sqlite3.Connection) -> None:
    connection.executemany("INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * 300)
    assert project.run("verify").returncode == 0


@linux
def test_what_is_checkpointed_before_a_daemon_looks_is_restored(
    hesitating: Project,
) -> None:
    with kept_open(hesitating.database) as connection:
        with hesitating.replicating():
            replicate_some(hesitating, connection)
        connection.execute("UPDATE note SET text = ? WHERE number = 5", (CHANGED,))
        daemon = subprocess.Popen(
            hesitating.command("litestream", "replicate"), cwd=hesitating.directory
        )
        try:
            executable = Path(f"/proc/{daemon.pid}/exe")
            wait_until(lambda: executable.resolve().name == "litestream")
            begin_wal_anew(connection)
            wait_until(lambda: hesitating.run("verify").returncode == 0)
        finally:
            stop(daemon)
        there = texts(hesitating.database)
    restored = restored_texts(hesitating)
    assert (5, CHANGED) in there
    assert restored == there


def test_what_is_checkpointed_before_a_start_has_its_effect_is_restored(
    hesitating: Project,
) -> None:
    with kept_open(hesitating.database) as connection:
        with hesitating.replicating():
            replicate_some(hesitating, connection)
            assert hesitating.run("stop", "default").returncode == 0
            connection.execute("UPDATE note SET text = ? WHERE number = 5", (CHANGED,))
            starter = subprocess.Popen(
                hesitating.command("litestream", "start", "default"),
                cwd=hesitating.directory,
            )
            try:
                wait_until(lambda: status_of_one(hesitating) == "replicating")
                begin_wal_anew(connection)
            finally:
                assert starter.wait(timeout=PATIENCE) == 0
            wait_until(lambda: hesitating.run("verify").returncode == 0)
        there = texts(hesitating.database)
    assert restored_texts(hesitating) == there


def status_of_one(project: Project) -> str:
    (database,) = Daemon(project.socket).databases()
    return database.status


def salts(database: Path) -> bytes:
    return database.with_name(f"{database.name}-wal").read_bytes()[16:24]


def test_a_wal_that_goes_on_is_left_alone(project: Project) -> None:
    with kept_open(project.database) as connection:
        with project.replicating():
            connection.execute("INSERT INTO note (text) VALUES ('more')")
            assert project.run("verify").returncode == 0
        connection.execute("INSERT INTO note (text) VALUES ('meanwhile')")
        before = salts(project.database)
        with project.replicating():
            assert project.run("verify").returncode == 0
            assert salts(project.database) == before
        there = texts(project.database)
    assert restored_texts(project) == there


def test_a_reader_keeps_no_backup_from_being_made(project: Project) -> None:
    once = "call_command('litestream', 'replicate', '-once')"
    with kept_open(project.database) as connection, kept_open(project.database) as held:
        subprocess.run(project.script(once), cwd=project.directory, check=True)
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        held.execute("BEGIN")
        held.execute("SELECT * FROM note").fetchone()
        subprocess.run(project.script(once), cwd=project.directory, check=True)
        there = texts(project.database)
    assert restored_texts(project) == there


def test_a_database_that_nothing_has_replicated_is_left_alone(project: Project) -> None:
    with kept_open(project.database) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        before = wal_size(project.database)
        empty(project.database)
        assert wal_size(project.database) == before > 0


@linux
def test_a_first_daemon_waits_for_no_reader_and_its_next_one_not_either(
    project: Project,
) -> None:
    """What it makes beside the database is not taken for what `reset` leaves."""
    executable = project.directory / "litestream"
    executable.write_text("#!/bin/sh\nexit 3\n")
    executable.chmod(0o700)
    project.litestream["bin_path"] = str(executable)
    project.write_settings()
    with kept_open(project.database) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        before = wal_size(project.database)
        for _ in range(2):
            assert project.run("replicate", "-once").returncode == 3
            assert (metadata_beside(project.database) / "replicate.lock").exists()
            assert wal_size(project.database) == before > 0


def test_what_was_reset_is_emptied(project: Project) -> None:
    with kept_open(project.database) as connection:
        assert project.run("replicate", "-once").returncode == 0
        assert project.run("reset", "default").returncode == 0
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        empty(project.database)
        assert wal_size(project.database) == 0


def lose(database: Path) -> None:
    database.unlink()


def damage(database: Path) -> None:
    database.write_bytes(b"no database" * 1000)


@pytest.mark.parametrize("harm", [lose, damage])
def test_a_database_that_is_no_more_keeps_no_other_from_its_backup(
    harm: Callable[[Path], None], tmp_path: Path
) -> None:
    directory = tmp_path / "project"
    other = directory / "other.sqlite3"
    project = Project(
        directory,
        databases={
            "default": Project.sqlite(directory / "db.sqlite3"),
            "other": Project.sqlite(other),
        },
        litestream={
            "dbs": [
                Project.entry("default", directory / "replica"),
                Project.entry("other", directory / "other-replica"),
            ]
        },
    )
    project.create_database()
    try:
        with kept_open(project.database) as connection:
            with closing(sqlite3.connect(other)) as created:
                created.execute("PRAGMA journal_mode=WAL")
                created.execute("CREATE TABLE note (number)")
            with project.replicating():
                assert project.run("verify").returncode == 0
            change(connection)
            harm(project.database)
            daemon = subprocess.Popen(
                project.command("litestream", "replicate"), cwd=project.directory
            )
            try:
                wait_until(lambda: project.run("verify", "other").returncode == 0)
                damaged = project.run("verify", "default")
            finally:
                stop(daemon)
            assert damaged.returncode == 2
            assert "restore it" in damaged.stderr
    finally:
        project.remove_private_files()


def test_a_reader_that_does_not_end_is_told_of(
    project: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(restarted_wal, "_PATIENCE", 1.0)
    with kept_open(project.database) as connection:
        restart(project, connection)
        change(connection)
        with kept_open(project.database) as reader:
            reader.execute("BEGIN")
            reader.execute("SELECT * FROM note").fetchone()
            connection.execute("INSERT INTO note (text) VALUES ('more')")
            with pytest.raises(ConfigurationError, match="end that transaction"):
                empty(project.database)
            reader.execute("ROLLBACK")
        empty(project.database)
        assert wal_size(project.database) == 0
