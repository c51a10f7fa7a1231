"""Database aliases and the SQLite files behind them.

The only place that reads ``settings.DATABASES``.
"""

from __future__ import annotations

import os
import re
import sqlite3
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from urllib.parse import quote, unquote
from urllib.request import url2pathname

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.backends.base.base import BaseDatabaseWrapper
from django.db.utils import ConnectionHandler

from .descriptors import descriptors_of
from .errors import ConfigurationError, NotASQLiteFile, UnknownDatabase
from .settings_problems import in_line, is_path, quoted, wrong_value

_SERVER_ENGINES = frozenset(
    f"django.{package}.{name}"
    for package, name in (
        ("db.backends", "postgresql"),
        ("db.backends", "mysql"),
        ("db.backends", "oracle"),
        ("contrib.gis.db.backends", "postgis"),
        ("contrib.gis.db.backends", "mysql"),
        ("contrib.gis.db.backends", "oracle"),
    )
)

_DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})

# What is no part of a file's name in a URI, or stands for something else there.
_NOT_ITSELF_IN_A_URI = re.compile(r"[?#]|%[0-9A-Fa-f]{2}")


@dataclass(frozen=True, kw_only=True)
class Database:
    """A SQLite database file: absolute path, and the alias it was asked for by."""

    path: Path
    alias: str | None = None

    @property
    def label(self) -> str:
        """What messages call it: the alias or else the path."""
        return self.alias or str(self.path)


def is_alias(name: str) -> bool:
    """Whether ``settings.DATABASES`` has the alias ``name``."""
    return name in connections.settings


def is_of_tests(alias: str) -> bool:
    """Whether Django's test runner has put a database in memory in an alias's place."""
    name = f"file:memorydb_{alias}?mode=memory&cache=shared"
    return bool(connections.settings[alias]["NAME"] == name)


def find(name: str | os.PathLike[str]) -> Database:
    """Return the database that an alias or a path names.

    Raises ``UnknownDatabase`` for a word that is neither an alias nor can be a
    path, ``NotASQLiteFile`` for an alias of another kind of database or of one in
    memory.
    """
    if isinstance(name, str) and is_alias(name):
        return Database(path=sqlite_path(name), alias=name)
    if isinstance(name, str) and not is_like_a_path(name):
        close = get_close_matches(name, list(connections.settings), n=1)
        meant = f"did you mean {quoted(close[0])}? " if close else ""
        aliases = ", ".join(map(in_line, sorted(connections.settings)))
        raise UnknownDatabase(
            f"No database alias {quoted(name)} in settings.DATABASES: {meant}"
            f"there are {aliases}. A path needs a '{os.sep}' in it."
        )
    return Database(path=absolute(name))


def sqlite_path(alias: str) -> Path:
    """Return the absolute path of an alias's database file.

    Raises ``NotASQLiteFile`` where the alias is not a SQLite database or has no
    file, ``ImproperlyConfigured`` where its name can be none.
    """
    settings = connections.settings[alias]
    where = f"settings.DATABASES[{quoted(alias)}]['NAME']"
    if not _is_sqlite(alias):
        raise NotASQLiteFile(
            f"The alias {quoted(alias)} is not a SQLite database (its engine is "
            f"{settings['ENGINE']}), so Litestream cannot replicate it.",
            in_memory=False,
        )
    if not settings["NAME"]:
        raise ImproperlyConfigured(
            f"{where} is improperly configured: expected the path of a SQLite file, "
            "got nothing."
        )
    if not _is_name(settings["NAME"]):
        expected = "the path of a SQLite file"
        raise ImproperlyConfigured(
            wrong_value(where, expected, settings["NAME"]).message
        )
    path = file_of(os.fspath(settings["NAME"]))
    if path is None:
        raise NotASQLiteFile(
            f"The alias {quoted(alias)} is an in-memory database (NAME is "
            f"{quoted(settings['NAME'])}), so there is no file to replicate: give "
            f"{where} a path.",
            in_memory=True,
        )
    return path


def file_of(name: str) -> Path | None:
    """Return the absolute path behind a ``NAME``, ``None`` for one in memory.

    ``name`` is a path or a URI as SQLite takes it
    (https://sqlite.org/uri.html).
    """
    if name == ":memory:":
        return None
    if not name.startswith("file:"):
        return absolute(name)
    written, parameters = _parts_of_uri(name)
    path = unquote(written)
    if path in {"", ":memory:"} or "mode=memory" in parameters:
        return None
    return absolute(url2pathname(written) if os.name == "nt" else path)


def absolute(path: str | os.PathLike[str]) -> Path:
    """Return ``path`` made absolute, every symbolic link followed.

    SQLite keeps the WAL beside the file that a link leads to, while Litestream
    looks for it beside the link: a linked database would never be replicated.
    Raises ``UnknownDatabase`` for what can be the path of no file.
    """
    try:
        return Path(os.path.realpath(path))
    except ValueError as error:
        raise UnknownDatabase(
            f"{quoted(os.fspath(path))} can be the path of no file: {error}."
        ) from error


def refuse_misread(path: Path) -> None:
    """Raise ``ConfigurationError`` where Litestream would open another file.

    Litestream 0.5.17 puts a path into a URI as it is. It would make its tables in a
    file that is not meant, and keep no lock on the one that is.
    """
    if found := _NOT_ITSELF_IN_A_URI.search(os.fspath(path)):
        raise ConfigurationError(
            f"{in_line(str(path))} has a '{found[0]}' in it, for which Litestream would "
            "open another file: give the file, or its directory, another name."
        )


def is_wal(path: Path) -> bool | None:
    """Whether a database file is in WAL mode; ``None`` where there is none to read.

    Reads the two format version bytes of its header, 2 for WAL
    (https://sqlite.org/fileformat2.html#the_database_header).
    """
    try:
        header = _first_bytes(path, 20)
    except OSError:
        return None
    if not header.startswith(b"SQLite format 3\0"):
        return None
    return header[18:20] == b"\x02\x02"


def _first_bytes(path: Path, count: int) -> bytes:
    """Read the beginning of a database, and leave the locks on it as they are.

    To close a file takes from this process all locks that it has on it, those of
    SQLite's connections too: another process would then remove the WAL under them
    (https://www.sqlite.org/howtocorrupt.html). So what is open here is not opened again.
    """
    for descriptor in descriptors_of(path.stat()):
        # Some cannot be read.
        with suppress(OSError):
            return os.pread(descriptor, count, 0)
    with path.open("rb") as file:
        return file.read(count)


def metadata_beside(path: Path) -> Path:
    """Return the directory of what Litestream keeps of a database, if none is set."""
    return path.with_name(f".{path.name}-litestream")


def size(path: Path) -> int:
    """Return how many bytes a database has at most when its WAL is in it."""
    wal = path.with_name(f"{path.name}-wal")
    return path.stat().st_size + (wal.stat().st_size if wal.exists() else 0)


def is_damaged(error: BaseException | None) -> bool:
    """Whether an error of SQLite's says that a file is none of its, or is not whole."""
    # The lowest byte is the kind of an error, what is above it tells more.
    return (
        isinstance(error, sqlite3.Error)
        and getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED
    )


def connect(
    database: Database, *, path: Path | None = None, timeout: float = 5.0
) -> BaseDatabaseWrapper:
    """Return a connection of its own to a database or to a copy of it at ``path``.

    It is made as Django makes those of the alias, functions and extensions
    included, which an index of the database may need. It never creates a file.
    ``timeout`` (seconds) bounds the wait for a lock. Raises ``ImproperlyConfigured``
    where the alias's options can be none.
    """
    alias = database.alias or "litestream"
    settings = dict(
        connections.settings[alias]
        if database.alias
        else {"ENGINE": "django.db.backends.sqlite3"}
    )
    settings["NAME"] = f"file:{quote(os.fspath(path or database.path))}?mode=rw"
    options = settings.get("OPTIONS", {})
    if not isinstance(options, Mapping):
        where = f"settings.DATABASES[{quoted(alias)}]['OPTIONS']"
        raise ImproperlyConfigured(wrong_value(where, "a dictionary", options).message)
    settings["OPTIONS"] = {**options, "timeout": timeout}
    handler = ConnectionHandler({"default": {}, alias: settings})
    return handler.create_connection(alias)


def close_connections(path: Path) -> None:
    """Close what this thread has open of a database; Django opens it anew when asked."""
    file = absolute(path)
    for connection in connections.all(initialized_only=True):
        if connection.connection is None or connection.vendor != "sqlite":
            continue
        if file_of(os.fspath(connection.settings_dict["NAME"])) == file:
            connection.close()


def is_like_a_path(name: str) -> bool:
    """Whether a word is taken for a path and not for an alias that is not there."""
    separators = {os.sep, os.altsep} - {None}
    return (
        any(str(separator) in name for separator in separators)
        or Path(name).suffix != ""
        or os.path.lexists(name)
    )


def _is_sqlite(alias: str) -> bool:
    try:
        return connections[alias].vendor == "sqlite"
    except ImproperlyConfigured as error:
        # A database server's driver need not be installed where only Litestream
        # runs. Anything else may be SQLite and must not be left out in silence.
        if connections.settings[alias]["ENGINE"] in _SERVER_ENGINES:
            return False
        # Django lists its own backends in lines of their own.
        raise ImproperlyConfigured(" ".join(str(error).split())) from error


def _is_name(name: object) -> bool:
    """Whether a ``NAME`` can be that of a SQLite file, or of a database in memory."""
    if not isinstance(name, str) or not name.startswith("file:"):
        return is_path(name)
    written, _ = _parts_of_uri(name)
    return is_path(unquote(written))


def _parts_of_uri(name: str) -> tuple[str, list[str]]:
    """Return the path and the parameters of a URI, as they are written.

    Python's ``urlsplit`` refuses some that SQLite opens.
    """
    base, _, query = name.removeprefix("file:").partition("#")[0].partition("?")
    if base.startswith("//"):
        _, slash, path = base.removeprefix("//").partition("/")
        base = f"{slash}{path}"
    return base, query.split("&")
