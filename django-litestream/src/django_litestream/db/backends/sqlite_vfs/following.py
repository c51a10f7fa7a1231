"""One thread's connection to a replica, and the one that comes in its place."""

from __future__ import annotations

import asyncio
import sqlite3
from functools import partial
from typing import Any

from django.db.backends.sqlite3 import base as sqlite3_backend

from ....replicas import OPTION_PREFIX, Replica
from ....vfs.connection import ReplicaConnection
from ....vfs.forks import forks
from ....vfs.loading import ensure_vfs_loaded
from ....vfs.opening import Connect, OpeningFailed
from ....vfs.uri import connection_uri, is_vfs_name
from . import reasons
from .connecting import forget_opener_of, open_connection, opener_of
from .snapshot import Snapshots
from .travels import travels


class FollowingWrapper(sqlite3_backend.DatabaseWrapper):
    """A connection that another one replaces where it no longer follows its replica.

    Where the test runner has made the alias a mirror of its primary it is a
    connection of Django's SQLite backend, and nothing else.

    ``snapshots`` is ``None`` while there is no connection to a replica.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.snapshots: Snapshots | None = None
        # What the connection was opened to, also once it has been left.
        self._followed: Replica | None = None
        self._is_lost = False
        self._replacement: ReplicaConnection | None = None
        self._has_left = False
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
        self._followed = replica = self.replica
        if replica is None:
            self.snapshots = None
            mirror: sqlite3.Connection = super().get_new_connection(conn_params)
            return mirror
        if self._has_left:
            raise reasons.travel_is_over(replica)
        ensure_vfs_loaded()
        connection, self._replacement = self._replacement, None
        if connection is None:
            try:
                connection = opener_of(replica).open(
                    self._connector(replica, conn_params), replica.open_timeout
                )
            except OpeningFailed as error:
                raise reasons.not_opened(replica, str(error)) from error
        self.snapshots = Snapshots(connection, replica)
        self._is_lost = False
        return connection

    def is_live(self) -> bool:
        """Whether there is a connection that follows the replica.

        If not, one is opened for a later call. Never waits.
        """
        if self.snapshots is not None:
            if not self._is_stale(self.snapshots):
                return True
        elif _in_event_loop():
            return False
        replica = self.replica
        if replica is None or forks.inherited or self._has_left:
            return False
        connect = self._connector(replica, self.get_connection_params())
        return self._replace(opener_of(replica).open_now(connect))

    def put_back(self) -> None:
        """Leave the connection to whoever reads from the replica next, and its snapshot.

        A client's own write is sure to be in that a while after it was begun, and a
        request seldom takes so long. One that is in use, is stale or reads a moment of
        the past is kept.
        """
        snapshots = self.snapshots
        if (
            snapshots is None
            or snapshots.replica.moment is not None
            or forks.inherited
            or self.in_atomic_block
            or not self.autocommit
            or snapshots.readers
            or snapshots.is_in_transaction_by_hand
            or self._is_stale(snapshots)
        ):
            return
        connection, self.connection, self.snapshots = self.connection, None, None
        opener_of(snapshots.replica).put_back(connection)

    def leave(self) -> None:
        """Never connect again; what is being read in another thread is read on."""
        self._has_left = True
        self.connection = self.snapshots = None
        if (replica := self.replica) is not None:
            forget_opener_of(replica)

    def _close(self) -> None:
        self.snapshots = None
        # To close an inherited connection waits for ever.
        if not forks.inherited:
            super()._close()  # type: ignore[misc]

    def _renew(self, snapshots: Snapshots) -> Snapshots | None:
        """End the shared snapshot; return those of a connection that is not stale.

        Raises ``OperationalError`` where there is none, and what is held lacks commits
        or is older than ``max_lag_seconds``.
        """
        snapshots.look_at_compactions()
        if self._is_stale(snapshots):
            self._replace_or_refuse(snapshots)
        if self.snapshots is not None:
            # One may have come with another connection, too.
            self.snapshots.end()
        return self.snapshots

    def _is_stale(self, snapshots: Snapshots) -> bool:
        """Whether only another connection follows the replica.

        Litestream's poller may fail for good, without an error
        (https://github.com/benbjohnson/litestream/issues/1460).
        """
        return (
            self._is_lost
            or snapshots.lacks_commits()
            or snapshots.age() > snapshots.replica.reopen_after
        )

    def _replace_or_refuse(self, snapshots: Snapshots) -> None:
        """Go on with another connection, or with this one as long as it may be read.

        Raises ``OperationalError`` where it may not.
        """
        replica = snapshots.replica
        opener = opener_of(replica)
        connect = self._connector(replica, self.get_connection_params())
        if self._replace(opener.open_again(connect, replica.open_timeout)):
            return
        if snapshots.lacks_commits():
            raise reasons.not_opened(replica, opener.reason)
        age = snapshots.age()
        if replica.max_lag_seconds is not None and age > replica.max_lag_seconds:
            raise reasons.too_old(replica, age, opener.reason)

    def _replace(self, connection: ReplicaConnection | None) -> bool:
        """Go on with another connection, if there is one."""
        if connection is None:
            return False
        self._replacement = connection
        # Before it first connects Django's wrapper says that autocommit is off, too.
        is_off = self.connection is not None and not self.autocommit
        # The one before is not closed: a result is read to its end.
        self.connection = self.snapshots = None
        self.connect()
        if is_off:
            self.set_autocommit(False)
        return True

    def _connector(self, replica: Replica, parameters: dict[str, Any]) -> Connect:
        """Return what opens a connection, however long it takes."""
        connect = partial(super().get_new_connection, parameters)
        return partial(open_connection, replica, connect)


def _in_event_loop() -> bool:
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return False
    return True
