"""Connecting to a replica as it is now, or as it was at a moment."""

from __future__ import annotations

import sqlite3
from contextlib import suppress
from datetime import datetime
from functools import partial

from ....replicas import Replica
from ....vfs.connection import ReplicaConnection
from ....vfs.diagnosis import diagnose
from ....vfs.forks import forks
from ....vfs.opening import Connect, Opener, forget, opener
from .compactions import compactions

# Of SQLite's own cache, in bytes, at least: what is found there costs no call into Go,
# and a page takes there a thirtieth of the memory that Litestream's cache needs for it.
_PAGE_CACHE = 10_485_760


def opener_of(replica: Replica) -> Opener:
    """Return what opens the connections of all threads to ``replica``."""
    return opener(_opener_name(replica), partial(diagnose, replica.url))


def forget_opener_of(replica: Replica) -> None:
    """Drop the opener of a replica that nobody will connect to again."""
    forget(_opener_name(replica))


def open_connection(replica: Replica, connect: Connect) -> ReplicaConnection:
    """Open a connection with ``connect``, however long it takes.

    Raises ``sqlite3.Error``, whose message says nothing of the cause.
    """
    # What is compacted from here on may or may not be in what is opened.
    compacted = _newest_compacted(replica)
    connection = connect()
    connection.compacted = compacted
    forks.watch(connection)
    size = max(replica.cache_size, _PAGE_CACHE)
    connection.execute(f"PRAGMA cache_size = -{size // 1024}")
    if replica.moment is not None:
        _travel(connection, replica.moment)
    return connection


def _opener_name(replica: Replica) -> str:
    return f"{replica.alias} {replica.url}"


def _newest_compacted(replica: Replica) -> int:
    """Return the newest transaction that is compacted, however long that takes."""
    if replica.moment is not None:
        # Nothing comes to a moment in the past, so that nothing need be listed.
        return 0
    known = compactions(replica.url)
    if known.age > replica.poll_interval:
        known.look()
    return known.newest


def _travel(connection: sqlite3.Connection, moment: str) -> None:
    """Have ``connection`` read the database as it was at ``moment``.

    Raises ``sqlite3.OperationalError`` where it cannot.
    """
    # Where the PRAGMA has worked its row has no columns, which sqlite3 chokes on in
    # several ways, so what came of it is read back.
    with suppress(MemoryError, sqlite3.Error):
        connection.execute(f"PRAGMA litestream_time = '{moment}'").fetchall()
    (shown,) = connection.execute("PRAGMA litestream_time").fetchone()
    if datetime.fromisoformat(shown) != datetime.fromisoformat(moment):
        raise sqlite3.OperationalError(f"it stays at {shown}")
