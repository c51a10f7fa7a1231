"""Each way to name a database, and the file it stands for."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import OperationalError, connections

from django_litestream import databases
from django_litestream.databases import Database
from django_litestream.errors import NotASQLiteFile, UnknownDatabase

from .project import PATIENCE
from .settings import DIRECTORY


@pytest.mark.parametrize(
    ("alias", "path"),
    [
        ("default", DIRECTORY / "db.sqlite3"),
        ("text", DIRECTORY / "text.sqlite3"),
        ("relative", Path.cwd() / "relative.sqlite3"),
        ("uri", DIRECTORY / "a uri.sqlite3"),
        ("relative_uri", Path.cwd() / "relative-uri.sqlite3"),
        ("linked", DIRECTORY / "linked-to" / "linked.sqlite3"),
        ("accents", DIRECTORY / "with space and é" / "données 1.sqlite3"),
        ("subclass", DIRECTORY / "subclass.sqlite3"),
    ],
)
def test_an_alias_stands_for_an_absolute_path(alias: str, path: Path) -> None:
    assert databases.find(alias) == Database(path=path, alias=alias)


@pytest.mark.parametrize("alias", ["memory", "memory_uri", "named_memory"])
def test_a_database_in_memory_has_no_file(alias: str) -> None:
    with pytest.raises(NotASQLiteFile, match="in-memory database") as caught:
        databases.find(alias)
    assert caught.value.in_memory


def test_a_server_is_not_sqlite_even_without_its_driver() -> None:
    with pytest.raises(NotASQLiteFile, match="not a SQLite database") as caught:
        databases.find("server")
    assert not caught.value.in_memory


def test_an_engine_that_cannot_be_loaded_may_be_sqlite_and_is_not_left_out() -> None:
    with pytest.raises(ImproperlyConfigured, match=r"no\.such\.engine"):
        databases.find("unloadable")


@pytest.mark.parametrize(
    "name",
    [5, b"bytes", "a\0b", "/\ud800", "file:///a%00b", "s3://me:SECRET@bucket", ["a"]],
)
def test_a_name_that_is_none_of_a_file(
    name: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "NAME", name)
    with pytest.raises(ImproperlyConfigured) as caught:
        databases.find("default")
    assert str(caught.value).startswith(
        "settings.DATABASES['default']['NAME'] is improperly configured: expected the "
        "path of a SQLite file, got "
    )
    assert "SECRET" not in str(caught.value)


@pytest.mark.parametrize("name", ["a\0b/c", "/\ud800"])
def test_a_word_that_can_be_no_path(name: str) -> None:
    with pytest.raises(UnknownDatabase, match="can be the path of no file"):
        databases.find(name)


@pytest.mark.parametrize("name", ["defualt", "Default", "nosuch", ""])
def test_a_word_that_is_no_alias_is_not_taken_for_a_file(name: str) -> None:
    with pytest.raises(UnknownDatabase, match="No database alias"):
        databases.find(name)


def test_the_alias_that_was_meant_is_named() -> None:
    with pytest.raises(UnknownDatabase, match="did you mean 'default'"):
        databases.find("defualt")


@pytest.mark.parametrize("name", ["some.db", "./nosuch", "/srv/nosuch"])
def test_what_looks_like_a_path_is_one(name: str) -> None:
    assert databases.find(name) == Database(path=Path(os.path.abspath(name)))


def test_a_path_object_is_a_path_whatever_it_looks_like() -> None:
    assert databases.find(Path("default")) == Database(path=Path.cwd() / "default")


def test_a_linked_file_stands_for_the_file_it_leads_to(tmp_path: Path) -> None:
    (tmp_path / "link.db").symlink_to(tmp_path / "real.db")
    assert databases.find(str(tmp_path / "link.db")).path == tmp_path / "real.db"


@pytest.mark.parametrize(
    ("name", "path"),
    [
        ("file:///srv/a%3Fb.db", "/srv/a?b.db"),
        ("file:/srv/plain.db?mode=ro&immutable=1", "/srv/plain.db"),
        ("file://localhost/srv/host.db", "/srv/host.db"),
        ("file:///srv/fragment.db#x", "/srv/fragment.db"),
        ("file:///srv/a[b.db", "/srv/a[b.db"),
    ],
)
def test_uris_are_read_as_sqlite_reads_them(name: str, path: str) -> None:
    assert databases.file_of(name) == Path(path)


def test_a_connection_never_makes_a_file(tmp_path: Path) -> None:
    database = Database(path=tmp_path / "missing.db")
    with pytest.raises(OperationalError):
        databases.connect(database).cursor()
    assert list(tmp_path.iterdir()) == []


def test_a_connection_is_made_as_the_alias_makes_them(tmp_path: Path) -> None:
    copy = tmp_path / "a ? # copy.db"
    sqlite3.connect(copy).close()
    with (
        closing(databases.connect(databases.find("subclass"), path=copy)) as connection,
        connection.cursor() as cursor,
    ):
        cursor.execute(
            "SELECT shout('hey'), DJANGO_DATE_TRUNC('year', '2026-11-24', NULL, NULL)"
        )
        assert cursor.fetchone()[0] == "HEY!"
        assert connection.alias == "subclass"


@pytest.mark.parametrize("options", [None, "timeout", 5, [("timeout", 5)]])
def test_options_that_are_none(
    options: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(connections.settings["default"], "OPTIONS", options)
    with pytest.raises(ImproperlyConfigured) as caught:
        databases.connect(databases.find("default"))
    assert str(caught.value).startswith(
        "settings.DATABASES['default']['OPTIONS'] is improperly configured: expected a "
        "dictionary, got "
    )


def test_the_journal_mode_is_read_from_the_header(tmp_path: Path) -> None:
    path = tmp_path / "db"
    assert databases.is_wal(path) is None
    path.write_bytes(b"not a database")
    assert databases.is_wal(path) is None
    path.unlink()
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("CREATE TABLE t (x)")
        assert databases.is_wal(path) is False
        connection.execute("PRAGMA journal_mode=WAL")
        assert databases.is_wal(path) is True


def test_a_look_at_the_header_leaves_connections_their_locks(tmp_path: Path) -> None:
    """Without them the next process to close the database removes its WAL."""
    path = tmp_path / "db"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE t (x)")
        assert databases.is_wal(path) is True
        elsewhere = (
            f"import sqlite3; sqlite3.connect({str(path)!r}).execute('SELECT * FROM t')"
        )
        subprocess.run([sys.executable, "-c", elsewhere], timeout=PATIENCE, check=True)
        assert path.with_name("db-wal").exists()
