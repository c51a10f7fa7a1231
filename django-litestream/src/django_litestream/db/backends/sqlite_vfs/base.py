"""Django's SQLite backend on a replica that is read through Litestream's VFS."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import connections
from django.db.utils import OperationalError

from ....vfs.connection import ReplicaConnection
from ....vfs.forks import forks
from . import reasons
from .bounded_reads import BoundedReads
from .client import DatabaseClient
from .cursor import Cursor
from .features import DatabaseFeatures
from .following import FollowingWrapper
from .snapshot import Snapshots

_READS = ("SELECT", "WITH", "VALUES", "EXPLAIN")
_BEGIN = "BEGIN"
_BEGINS = (_BEGIN, "SAVEPOI")

# The PRAGMA that moves a connection to a moment of the past.
_SETS_TIME = re.compile(r"\s*PRAGMA\s+(\w+\s*\.\s*)?litestream_time\s*[=(]", re.I)


class DatabaseWrapper(FollowingWrapper):
    """One thread's connection to a replica, and what is read through it."""

    display_name = "Litestream replica"
    client_class = DatabaseClient
    features_class = DatabaseFeatures

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Those of the connection, also once it has been left.
        self._bounded_reads: BoundedReads | None = None
        self._is_beginning = False

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        connection = super().get_new_connection(conn_params)
        self._bounded_reads = None
        if (snapshots := self.snapshots) is not None:
            assert isinstance(connection, ReplicaConnection)
            self._bounded_reads = BoundedReads(snapshots, connection.waiting)
        return connection

    def create_cursor(self, name: str | None = None) -> sqlite3.Cursor:
        cursor: sqlite3.Cursor
        if self.snapshots is None:
            cursor = super().create_cursor(name)
        else:
            cursor = self.connection.cursor(factory=Cursor)
            assert isinstance(cursor, Cursor)
            cursor.reader = self
        return cursor

    def prepare_to_run(self, query: str) -> None:
        """Have the connection on a snapshot that ``query`` may be run on.

        Raises ``OperationalError`` in a child of the process that opened it, and
        where all that is held is older than ``max_lag_seconds``; ``NotSupportedError``
        for what would leave the connection other than the next user expects it.
        """
        forks.refuse_inherited()
        snapshots = self.snapshots
        if snapshots is None:
            return
        if _SETS_TIME.match(query):
            raise reasons.travels_by_hand(snapshots.replica)
        if self._is_in_transaction:
            self._suspect_anew()
            return
        word = query.lstrip()[:7].upper()
        if word.startswith(_BEGINS) and self.autocommit and not self._is_beginning:
            raise reasons.begins_by_hand(snapshots.replica)
        if word.startswith(_BEGIN):
            # Whoever begins a transaction has looked at the connection's age, and
            # nothing is read that could be read anew.
            snapshots.last.is_checked = True
            return
        may_share = self.autocommit and word.startswith(_READS)
        if may_share and not self._is_lost and snapshots.is_current:
            return
        if (renewed := self._renew(snapshots)) is None:
            return
        self._suspect_anew()
        if may_share:
            renewed.begin()
        else:
            renewed.look()

    @property
    def may_read_anew(self) -> bool:
        """Whether a read that has failed may be tried on another connection.

        Litestream 0.5.17 loses pages of a connection that was opened before the
        replica's first compaction, once there is one.
        """
        return self._is_lost and not self._is_in_transaction

    def must_read_anew(self) -> bool:
        """Whether what was read lacks commits, so that it must be on another connection.

        Raises ``OperationalError`` inside of a transaction, which cannot move there.
        """
        snapshots = self.snapshots
        if snapshots is None or snapshots.last.is_checked:
            return False
        snapshots.last.is_checked = True
        snapshots.note_read()
        if not snapshots.lacks_commits():
            return False
        if self._is_in_transaction:
            raise reasons.taken_back(snapshots.replica)
        return True

    def read_in_time[T](self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, in bounded time if the storage is away.

        Raises ``TimeoutError`` where it is, after ``open_timeout``.
        """
        reads = self._bounded_reads
        return read() if reads is None else reads.read(read)

    def left_reading(self) -> OperationalError:
        """Leave the connection to a thread that still reads; return why.

        Nobody else may use it, so the next statement is run on another one.
        """
        assert self._bounded_reads is not None
        self.connection = self.snapshots = None
        if self.in_atomic_block:
            self.closed_in_transaction = self.needs_rollback = True
        return self._bounded_reads.not_in_time()

    def explained(self, error: sqlite3.Error) -> Exception:
        """Return what a user can do something about in place of SQLite's error."""
        replica = self._followed
        if replica is None:
            return error
        if reasons.is_refused_write(error):
            return reasons.read_only(replica)
        if reasons.is_lost(error):
            self._is_lost = True
            return reasons.not_read(replica, error)
        return error

    def is_ready(self, txid: int = 0) -> bool:
        """Whether what is read next holds the transaction ``txid``, and needs no wait.

        If not, what it takes is begun for a later call.
        """
        # To begin anew would put off the moment at which it is sure.
        if (is_sure := self._is_sure_to_share(txid)) is not None:
            return is_sure
        if not (self._is_in_transaction or self.is_live()):
            return False
        self._suspect_anew()
        # A snapshot may have come with the connection.
        if (is_sure := self._is_sure_to_share(txid)) is not None:
            return is_sure
        snapshots, reads = self.snapshots, self._bounded_reads
        if snapshots is None or reads is None or reads.is_suspect:
            return False
        if self.in_atomic_block or not self.autocommit:
            return snapshots.holds(txid)
        if snapshots.readers:
            # SQLite stays on the one that is being read.
            return False
        if txid:
            if snapshots.is_in_transaction_by_hand or snapshots.newest_txid() < txid:
                return False
            snapshots.end()
            snapshots.begin()
            if not snapshots.holds(txid):
                self._read_first(snapshots)
        return snapshots.holds(txid)

    def prepare_database(self) -> None:
        if (replica := self.replica) is not None:
            # Only `migrate` calls this, and a user's mistake is no traceback.
            raise CommandError(
                f"'{self.alias}' is a read replica: migrate '{replica.primary}'."
            )

    def _set_autocommit(self, autocommit: bool) -> None:
        if self.snapshots is not None:
            if autocommit and self.connection.isolation_level is None:
                # To set what is set would end the snapshot that came with it.
                return
            # With autocommit off it would pass for a transaction of the user's.
            self.snapshots.end()
        super()._set_autocommit(autocommit)  # type: ignore[misc]

    def _start_transaction_under_autocommit(self) -> None:
        snapshots = self.snapshots
        if snapshots is not None:
            forks.refuse_inherited()
            if (snapshots := self._renew(snapshots)) is not None:
                snapshots.look()
        self._is_beginning = True
        try:
            super()._start_transaction_under_autocommit()  # type: ignore[misc]
        finally:
            self._is_beginning = False
        if snapshots is not None:
            # From here on what is read is to be checked.
            snapshots.last.is_checked = False

    def _is_sure_to_share(self, txid: int) -> bool | None:
        """Whether the shared snapshot holds ``txid`` for sure, and needs no wait.

        ``None`` where there is none that has it.
        """
        snapshots, reads = self.snapshots, self._bounded_reads
        if snapshots is None or reads is None or not snapshots.is_current:
            return None
        if snapshots.last.txid < txid:
            return None
        return not reads.is_suspect and snapshots.holds(txid)

    @property
    def _is_in_transaction(self) -> bool:
        """Whether there is a transaction of the user's, which cannot move.

        With autocommit off none is begun for a read.
        """
        return self.in_atomic_block or bool(
            not self.autocommit and self.connection and self.connection.in_transaction
        )

    def _read_first(self, snapshots: Snapshots) -> None:
        """Have SQLite begin the snapshot, which it puts off until something is read."""
        execute = partial(self.connection.execute, "PRAGMA schema_version")
        try:
            self.read_in_time(lambda: execute().fetchall())
        except sqlite3.Error as error:
            self.explained(error)
        except TimeoutError:
            self.left_reading()
        else:
            snapshots.note_read()

    def _suspect_anew(self) -> None:
        if self._bounded_reads is not None:
            self._bounded_reads.suspect_anew()


def put_back_connections(**kwargs: Any) -> None:
    """Leave the current thread's connections to others.

    A receiver of ``request_finished``: under ASGI the thread ends with the request.
    """
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.put_back()
