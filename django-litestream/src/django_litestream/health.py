"""Which replicas are healthy, watched in the background.

One thread per process looks at a connection of its own to each replica, several times
a second. Whoever asks reads what it has published and never waits.
"""

from __future__ import annotations

import logging
import os
import sqlite3
import threading
import time
from collections.abc import Mapping, Sequence

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import DatabaseError

from .db.backends.sqlite_vfs.base import DatabaseWrapper
from .db.backends.sqlite_vfs.compactions import compactions
from .distance import FOREIGN, Cuts, Distance, look_at_daemon
from .replicas import Replica
from .topology import topology
from .vfs.forks import forks
from .vfs.loading import ensure_vfs_loaded

logger = logging.getLogger(__name__)

# Seconds between two looks, and the age at which nothing is believed any more.
_INTERVAL = 0.25
_BELIEVED_FOR = 5.0

# How often a primary's daemon is asked, and how long it may take, in seconds.
_ASKED_EVERY = 1.0
_DAEMON_TIMEOUT = 1.0

# How often the same is logged, in seconds.
_SAID_EVERY = 3600.0


class Watcher:
    """Watches the replicas that the router may read from."""

    def __init__(self) -> None:
        self._healthy: Mapping[str, tuple[str, ...]] = {}
        self._looked_at = 0.0
        self._connections: dict[str, DatabaseWrapper] = {}
        self._cuts: dict[str, Cuts] = {}
        self._distances: dict[str, Distance] = {}
        # ``None`` where that is not known yet.
        self._is_foreign: dict[str, bool | None] = {}
        self._asked_at = 0.0
        self._said: dict[str, float] = {}
        self._thread = threading.Thread(
            target=self._watch, name="litestream-health", daemon=True
        )
        self._thread.start()

    def healthy(self, primary: str) -> tuple[str, ...]:
        """Return the aliases of the healthy replicas of a primary."""
        if time.monotonic() - self._looked_at > _BELIEVED_FOR:
            return ()
        return self._healthy.get(primary, ())

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except Exception as error:
                # Without a look nothing counts as healthy; the next may work.
                self._say(repr(error), traceback=True)
            time.sleep(_INTERVAL)

    def _look(self) -> None:
        healthy: dict[str, tuple[str, ...]] = {}
        asks = time.monotonic() - self._asked_at > _ASKED_EVERY
        for primary, replicas in topology().routed.items():
            if asks or primary not in self._cuts:
                self._ask(primary, replicas)
            for replica in replicas:
                try:
                    if not self._is_healthy(replica):
                        continue
                except (DatabaseError, ImproperlyConfigured) as error:
                    self._say(str(error))
                    continue
                healthy[primary] = (*healthy.get(primary, ()), replica.alias)
        self._healthy = healthy
        self._looked_at = time.monotonic()

    def _ask(self, primary: str, replicas: Sequence[Replica]) -> None:
        # First of all: what a replica has by then the daemon has had before.
        held = {replica.alias: self._newest_txid(replica) for replica in replicas}
        look = look_at_daemon(primary, _DAEMON_TIMEOUT)
        self._asked_at = time.monotonic()
        since = self._cuts.setdefault(primary, Cuts()).note(look)
        for replica in replicas:
            distance = self._distances.setdefault(replica.alias, Distance())
            if look is not None and look.txid is not None:
                distance.note(look.txid, since)
                has = held[replica.alias]
                is_foreign = None if has is None else has > look.txid
                self._is_foreign[replica.alias] = is_foreign

    def _newest_txid(self, replica: Replica) -> int | None:
        connection = self._connections.get(replica.alias)
        if connection is None or connection.snapshots is None:
            return None
        try:
            return connection.snapshots.newest_txid()
        except (sqlite3.Error, LookupError):
            # Nothing can be read on a connection that the VFS has lost.
            return None

    def _is_healthy(self, replica: Replica) -> bool:
        connection = self._connections.get(replica.alias)
        if connection is None:
            # This thread's own, as each thread has its own.
            connection = connections[replica.alias]  # type: ignore[assignment]
            assert isinstance(connection, DatabaseWrapper)
            self._connections[replica.alias] = connection
        if connection.replica is None:
            # The test runner has made it a mirror of its primary.
            return False
        ensure_vfs_loaded()
        if not connection.is_live():
            return False
        assert connection.snapshots is not None
        age = connection.snapshots.poll_age()
        compacted = compactions(replica.url)
        if compacted.age > age + _BELIEVED_FOR:
            self._say(
                f"'{replica.alias}' is not read from: what Litestream compacts in it "
                "cannot be listed. Is the executable installed?"
            )
            return False
        if compacted.is_expected(replica.poll_interval):
            return False
        is_foreign = self._is_foreign.get(replica.alias, False)
        if is_foreign:
            self._say(f"'{replica.alias}' is not read from: {FOREIGN}")
        if is_foreign is not False:
            return False
        txid = connection.snapshots.newest_txid()
        if problem := self._too_old(replica, age, txid):
            self._say(f"'{replica.alias}' is not read from: {problem}")
            return False
        # Most often it is within a second or two, so there is nothing to say.
        distance = self._distances[replica.alias]
        return replica.max_lag_seconds is None or distance.is_caught_up(txid)

    def _too_old(self, replica: Replica, age: float, txid: int) -> str:
        """Return why it may lack more than ``max_lag_seconds`` of its primary."""
        limit = replica.max_lag_seconds
        if limit is None:
            return ""
        if age > limit:
            return f"It was last polled more than {limit:g} s ago."
        cuts = self._cuts[replica.primary]
        if cuts.seconds > limit:
            return cuts.problem or (
                f"The daemon of '{replica.primary}' has cut nothing for more than "
                f"{limit:g} s: see its log, and keep its 'monitor-interval' shorter."
            )
        if cuts.uncut_seconds > limit:
            return (
                f"The daemon of '{replica.primary}' has cut nothing of what was written "
                f"more than {limit:g} s ago, unless that is a transaction which is not "
                "over: run `manage.py litestream verify`."
            )
        if self._distances[replica.alias].seconds(txid) > limit:
            return (
                f"The daemon of '{replica.primary}' has had for more than {limit:g} s "
                "what it lacks: see the daemon's log."
            )
        return ""

    def _say(self, problem: str, *, traceback: bool = False) -> None:
        """Log why no replica is read from, once and for a while."""
        now = time.monotonic()
        if now - self._said.get(problem, -_SAID_EVERY) >= _SAID_EVERY:
            self._said[problem] = now
            logger.warning("%s", problem, exc_info=traceback)


_watcher: Watcher | None = None
_starting = threading.Lock()


def watcher() -> Watcher | None:
    """Return the process's watcher, started by the first call.

    ``None`` in a child of a process that has loaded the VFS, where no replica can be
    read from.
    """
    global _watcher
    if _watcher is None:
        if forks.inherited:
            return None
        with _starting:
            if _watcher is None:
                _watcher = Watcher()
    return _watcher


def _start_anew() -> None:
    # Its thread stays with the parent, and the lock may be held by another.
    global _watcher, _starting
    _watcher, _starting = None, threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
