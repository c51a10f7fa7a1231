"""A database at the moment of a TXID, and whether a restored one is the same.

A backup may be sound, hold the newest commit and still lack earlier ones: pages that
Litestream did not read before SQLite overwrote them. What is restored to a TXID is
byte for byte what the database was then, so one page that is not shows it.
"""

from __future__ import annotations

import os
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from django.db.backends.utils import CursorWrapper

from .control import Daemon
from .errors import DaemonUnavailable

# The file format's header (https://www.sqlite.org/fileformat2.html#the_database_header):
# the change counter, the schema cookie and what wrote last are new in each copy.
_NEW_IN_A_COPY = (slice(24, 28), slice(40, 44), slice(92, 100))
_PAGE_SIZE = slice(16, 18)
_FREELIST = slice(32, 36)

# How long writers are made to wait, in seconds, and how often.
_LONGEST_LOCK = 0.5
_ATTEMPTS = 5

# SQLite keeps the page that has this byte for its locks, and nothing in it.
_LOCK_BYTE = 0x40000000


@dataclass(frozen=True, kw_only=True)
class Copy:
    """What a database was at a TXID of Litestream's."""

    path: Path
    txid: int


@dataclass(frozen=True, kw_only=True)
class Difference:
    """How many pages of how many are not the same, and the number of the first."""

    first: int
    pages: int
    of: int

    def __str__(self) -> str:
        return f"{self.pages} of {self.of} pages differ, page {self.first} first"


def copy(
    cursor: CursorWrapper,
    database: Path,
    destination: Path,
    *,
    socket: Path,
    timeout: float,
) -> Copy:
    """Copy ``database`` to ``destination``, at a TXID that holds all of its commits.

    ``cursor`` is on a connection to it that is outside of a transaction: it keeps
    others from writing while the daemon on ``socket`` cuts the WAL, some milliseconds,
    and not while the pages are copied. ``timeout`` (seconds) bounds the first call to
    the daemon. Raises ``django.db.Error`` where the lock cannot be had,
    ``sqlite3.Error`` where the pages cannot be read, and what ``Daemon.sync`` raises.
    """
    with closing(sqlite3.connect(_read_only(database), uri=True)) as reader:
        reader.isolation_level = None
        for attempts_left in reversed(range(_ATTEMPTS)):
            # Leaves little to do for the one that writers wait for.
            Daemon(socket, timeout=timeout).sync(database)
            try:
                txid = _begin_reading(reader, cursor, database, socket)
                break
            except DaemonUnavailable:
                if not attempts_left:
                    raise
        with closing(sqlite3.connect(destination)) as written:
            written.execute("PRAGMA synchronous=OFF")
            reader.backup(written)
    return Copy(path=destination, txid=txid)


def _begin_reading(
    reader: sqlite3.Connection, cursor: CursorWrapper, database: Path, socket: Path
) -> int:
    """Begin a transaction of ``reader`` and return the TXID of what it reads.

    Raises ``DaemonUnavailable`` where the daemon takes long: it may be about to
    checkpoint, for which it waits in vain for the lock that is held here.
    """
    cursor.execute("BEGIN IMMEDIATE")
    try:
        txid = Daemon(socket, timeout=_LONGEST_LOCK).sync(database).txid
        reader.execute("BEGIN")
        reader.execute("SELECT 1 FROM sqlite_schema").fetchone()
    finally:
        cursor.execute("ROLLBACK")
    return txid


def compare(copied: Path, restored: Path) -> Difference | None:
    """Return where two copies of a database differ, ``None`` where they do not.

    What holds no data may differ: pages of the freelist, which SQLite leaves as they
    were, and the one that is there for locks.
    """
    with copied.open("rb") as one, restored.open("rb") as other:
        size = _page_size(one)
        pages = max(os.fstat(file.fileno()).st_size for file in (one, other)) // size
        empty = {*_freelist(one, size), _LOCK_BYTE // size + 1}
        differing = [
            number
            for number in range(1, pages + 1)
            if _page(one, number, size) != _page(other, number, size)
            and number not in empty
        ]
    if not differing:
        return None
    return Difference(first=differing[0], pages=len(differing), of=pages)


def _read_only(database: Path) -> str:
    return f"{database.absolute().as_uri()}?mode=ro"


def _page_size(file: IO[bytes]) -> int:
    size = int.from_bytes(_page(file, 1, 512)[_PAGE_SIZE])
    # Two bytes cannot hold the largest size.
    return 65536 if size == 1 else size


def _page(file: IO[bytes], number: int, size: int) -> bytes:
    file.seek((number - 1) * size)
    content = file.read(size)
    if number > 1:
        return content
    header = bytearray(content)
    for place in _NEW_IN_A_COPY:
        header[place] = bytes(place.stop - place.start)
    return bytes(header)


def _freelist(file: IO[bytes], size: int) -> Iterator[int]:
    """Yield the leaves of the freelist; its trunks hold the numbers of these."""
    seen: set[int] = set()
    trunk = int.from_bytes(_page(file, 1, size)[_FREELIST])
    while trunk and trunk not in seen:
        seen.add(trunk)
        trunk, leaves, *numbers = struct.unpack(
            f">{size // 4}I", _page(file, trunk, size)
        )
        yield from numbers[:leaves]
