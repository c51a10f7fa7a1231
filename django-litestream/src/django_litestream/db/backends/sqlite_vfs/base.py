"""Django's SQLite backend on a replica that is read through Litestream's VFS."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.core.management.base import CommandError
from django.db import connections
from django.db.backends.sqlite3 import base as sqlite3_backend
from django.db.utils import OperationalError

from ....replicas import OPTION_PREFIX, Replica
from ....vfs.bounded import Waiting, run_bounded, timed
from ....vfs.diagnosis import diagnose
from ....vfs.forks import ReplicaConnection, forks
from ....vfs.loading import ensure_vfs_loaded
from ....vfs.opening import Connect, OpeningFailed
from ....vfs.uri import connection_uri, is_vfs_name
from . import reasons
from .client import DatabaseClient
from .connecting import forget_opener_of, open_connection, opener_of
from .cursor import Cursor
from .features import DatabaseFeatures
from .snapshot import Snapshots
from .travels import travels

_READS = ("SELECT", "WITH", "VALUES", "EXPLAIN")
_BEGIN = "BEGIN"


class DatabaseWrapper(sqlite3_backend.DatabaseWrapper):
    """One thread's connection to a replica.

    Where the test runner has made the alias a mirror of its primary it is a
    connection of Django's SQLite backend, and nothing else.
    """

    display_name = "Litestream replica"
    client_class = DatabaseClient
    features_class = DatabaseFeatures

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.snapshots: Snapshots | None = None
        self._reads: Replica | None = None
        self._opened_before: ReplicaConnection | None = None
        self._is_lost = False
        self._has_left = False
        self.is_suspect = False
        self._suspected_at = 0.0
        self._waiting = Waiting()
        self._away = ""
        if (replica := self.replica) is not None and replica.moment:
            travels.add(self)

    @property
    def replica(self) -> Replica | None:
        """What the alias reads, ``None`` where it is a mirror of its primary."""
        if not is_vfs_name(self.settings_dict["NAME"]):
            return None
        return Replica.from_database(self.alias, self.settings_dict)

    def get_connection_params(self) -> dict[str, Any]:
        parameters = {
            name: value
            for name, value in super().get_connection_params().items()
            if not name.startswith(OPTION_PREFIX)
        }
        if replica := self.replica:
            uri = connection_uri(parameters["database"], replica)
            parameters.update(database=uri, factory=ReplicaConnection)
        return parameters

    def get_new_connection(self, conn_params: dict[str, Any]) -> sqlite3.Connection:
        self._reads = replica = self.replica
        if replica is None:
            self.snapshots = None
            mirror: sqlite3.Connection = super().get_new_connection(conn_params)
            return mirror
        if self._has_left:
            raise reasons.travel_is_over(replica)
        ensure_vfs_loaded()
        connection, self._opened_before = self._opened_before, None
        if connection is None:
            try:
                connection = opener_of(replica).open(
                    self._connector(replica, conn_params), replica.open_timeout
                )
            except OpeningFailed as error:
                raise reasons.not_opened(replica, str(error)) from error
        self.snapshots = Snapshots(connection, replica.poll_interval, replica.url)
        self._is_lost = self.is_suspect = False
        self._waiting = connection.waiting
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
        where all that is held is older than ``max_lag_seconds``.
        """
        forks.refuse_inherited()
        snapshots = self.snapshots
        if snapshots is None:
            return
        if self.in_atomic_block or not self.autocommit:
            self._suspect_anew()
            return
        word = query.lstrip()[:7].upper()
        if word.startswith(_BEGIN):
            # Whoever begins a transaction has looked at the connection's age.
            return
        may_share = word.startswith(_READS)
        if may_share and not self._is_lost and snapshots.is_current:
            return
        snapshots.end()
        self._replace_if_stale()
        # It may be another connection by now.
        if self.snapshots is not None:
            self._suspect_anew()
            if may_share:
                self.snapshots.begin()
            else:
                self.snapshots.look()

    @property
    def may_read_anew(self) -> bool:
        """Whether a read that has failed may be tried on another connection.

        Litestream 0.5.17 loses pages of a connection that was opened before the
        replica's first compaction, once there is one.
        """
        return self._is_lost and self.autocommit and not self.in_atomic_block

    def must_read_anew(self) -> bool:
        """Whether what was read lacks commits, so that it must be on another connection.

        Raises ``OperationalError`` inside of a transaction, which cannot move there.
        """
        replica, snapshots = self._reads, self.snapshots
        if replica is None or snapshots is None or snapshots.is_checked:
            return False
        snapshots.is_checked = True
        if not self._lacks_commits(replica):
            return False
        if self.in_atomic_block or not self.autocommit:
            raise reasons.taken_back(replica)
        return True

    def read_in_time[T](self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns, in bounded time if the storage is away.

        Raises ``TimeoutError`` where it is, after ``open_timeout``.
        """
        replica = self._reads
        if replica is None or not (self.is_suspect or self._waiting.is_likely):
            return timed(read, self._waiting)

        def may_go_on() -> bool:
            # A query may take as long as it likes.
            self._away = diagnose(replica.url)
            return not (self._away or self.is_suspect)

        bounded = partial(run_bounded, read, replica.open_timeout, may_go_on)
        return timed(bounded, self._waiting)

    def left_reading(self) -> OperationalError:
        """Leave the connection to a thread that still reads; return why.

        Nobody else may use it, so the next statement is run on another one.
        """
        assert self._reads is not None
        self.connection = self.snapshots = None
        if self.in_atomic_block:
            self.closed_in_transaction = self.needs_rollback = True
        return reasons.not_read_in_time(self._reads, self._away)

    def is_live(self) -> bool:
        """Whether there is a connection that follows the replica.

        If not, one is opened for a later call. Never waits.
        """
        if self.connection is not None and self._reads is not None:
            if not self._is_stale(self._reads):
                return True
        elif _in_event_loop():
            return False
        replica = self.replica
        if replica is None or forks.inherited or self._has_left:
            return False
        connect = self._connector(replica, self.get_connection_params())
        return self._replace(opener_of(replica).open_now(connect))

    def is_ready(self, txid: int = 0) -> bool:
        """Whether what is read next holds the transaction ``txid``, and needs no wait.

        If not, what it takes is begun for a later call.
        """
        snapshots = self.snapshots
        if snapshots is not None and snapshots.is_current:
            if snapshots.txid >= txid:
                return not self.is_suspect
        elif not self.is_live():
            return False
        self._suspect_anew()
        if self.is_suspect:
            return False
        snapshots = self.snapshots
        if snapshots is None or self.in_atomic_block or not self.autocommit:
            return snapshots is not None and snapshots.txid >= txid
        if snapshots.readers:
            # SQLite stays on the one that is being read.
            return False
        if txid:
            snapshots.end()
            snapshots.begin()
        return snapshots.txid >= txid

    def put_back(self) -> None:
        """Leave the connection to whoever reads from the replica next.

        Kept where it is in use, or of none.
        """
        replica, snapshots = self._reads, self.snapshots
        if (
            self.connection is None
            or replica is None
            or snapshots is None
            or replica.moment is not None
            or forks.inherited
            or self.in_atomic_block
            or not self.autocommit
            or snapshots.readers
            or self._is_stale(replica)
        ):
            return
        snapshots.end()
        connection, self.connection, self.snapshots = self.connection, None, None
        opener_of(replica).put_back(connection)

    def explained(self, error: sqlite3.Error) -> Exception:
        """Return what a user can do something about in place of SQLite's error."""
        replica = self._reads
        if replica is None:
            return error
        if reasons.is_refused_write(error):
            return reasons.read_only(replica)
        if reasons.is_lost(error):
            self._is_lost = True
            return reasons.not_read(replica, error)
        return error

    def leave(self) -> None:
        """Never connect again; what is being read in another thread is read on."""
        self._has_left = True
        self.connection = self.snapshots = None
        if (replica := self.replica) is not None:
            forget_opener_of(replica)

    def prepare_database(self) -> None:
        if (replica := self.replica) is not None:
            # Only `migrate` calls this, and a user's mistake is no traceback.
            raise CommandError(
                f"'{self.alias}' is a read replica: migrate '{replica.primary}'."
            )

    def _start_transaction_under_autocommit(self) -> None:
        if self.snapshots is not None:
            forks.refuse_inherited()
            self.snapshots.end()
            self._replace_if_stale()
            self.snapshots.look()
        super()._start_transaction_under_autocommit()  # type: ignore[misc]
        if self.snapshots is not None:
            # By a BEGIN nothing is read yet.
            self.snapshots.is_checked = False

    def _close(self) -> None:
        self.snapshots = None
        # To close an inherited connection waits for ever.
        if not forks.inherited:
            super()._close()  # type: ignore[misc]

    def _replace_if_stale(self) -> None:
        """Open another connection in place of one whose poller is wedged.

        Litestream's poller may fail for good, without an error
        (https://github.com/benbjohnson/litestream/issues/1460).
        """
        replica = self._reads
        if replica is None:
            return
        if self.snapshots is not None and replica.moment is None:
            self.snapshots.look_at_compactions()
        if not self._is_stale(replica):
            return
        opener = opener_of(replica)
        connect = self._connector(replica, self.get_connection_params())
        if self._replace(opener.open_again(connect, replica.open_timeout)):
            return
        if self._lacks_commits(replica):
            raise reasons.not_opened(replica, opener.reason)
        age = self._poll_age(replica)
        if replica.max_lag_seconds is not None and age > replica.max_lag_seconds:
            raise reasons.too_old(replica, age, opener.reason)

    def _suspect_anew(self) -> None:
        """Find out whether the storage may not answer, once in a poll interval."""
        now = time.monotonic()
        if self._reads is not None and now >= self._suspected_at:
            self._suspected_at = now + self._reads.poll_interval
            self.is_suspect = self._poll_age(self._reads) > self._reads.suspect_after

    def _is_stale(self, replica: Replica) -> bool:
        return (
            self._is_lost
            or self._lacks_commits(replica)
            or self._poll_age(replica) > replica.reopen_after
        )

    def _lacks_commits(self, replica: Replica) -> bool:
        # Nothing comes to a moment in the past.
        if replica.moment is not None or self.snapshots is None:
            return False
        return self.snapshots.lacks_commits()

    def _poll_age(self, replica: Replica) -> float:
        # A moment in the past is not polled.
        if replica.moment is not None or self.snapshots is None:
            return 0.0
        return self.snapshots.poll_age()

    def _replace(self, connection: ReplicaConnection | None) -> bool:
        """Go on with another connection, if there is one."""
        if connection is None:
            return False
        self._opened_before = connection
        # The one before is not closed: a result is read to its end.
        self.connection = None
        self.connect()
        return True

    def _connector(self, replica: Replica, parameters: dict[str, Any]) -> Connect:
        """Return what opens a connection, however long it takes."""
        connect = partial(super().get_new_connection, parameters)
        return partial(open_connection, replica, connect)


def put_back_connections(**kwargs: Any) -> None:
    """Leave the current thread's connections to others.

    A receiver of ``request_finished``: under ASGI the thread ends with the request.
    """
    for connection in connections.all(initialized_only=True):
        if isinstance(connection, DatabaseWrapper):
            connection.put_back()


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
