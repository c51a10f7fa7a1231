"""Which replicas are healthy, watched in the background.

One thread per process looks at a connection of its own to each replica, several times
a second. Whoever asks reads what it has published and never waits.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections import defaultdict, deque
from collections.abc import Mapping

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import DatabaseError

from .db.backends.sqlite_vfs.base import DatabaseWrapper
from .replicas import Replica
from .topology import topology
from .vfs.forks import forks
from .vfs.loading import ensure_vfs_loaded

logger = logging.getLogger(__name__)

# Seconds between two looks, and the age at which nothing is believed any more.
_INTERVAL = 0.25
_BELIEVED_FOR = 5.0


class Watcher:
    """Watches the replicas that the router may read from."""

    def __init__(self) -> None:
        self._healthy: Mapping[str, tuple[str, ...]] = {}
        self._txids: Mapping[str, int] = {}
        self._seen: defaultdict[str, deque[tuple[float, int]]] = defaultdict(deque)
        self._looked_at = 0.0
        self._connections: dict[str, DatabaseWrapper] = {}
        self._refused: str | None = None
        self._thread = threading.Thread(
            target=self._watch, name="litestream-health", daemon=True
        )
        self._thread.start()

    def healthy(self, primary: str) -> tuple[str, ...]:
        """Return the aliases of the healthy replicas of a primary."""
        if time.monotonic() - self._looked_at > _BELIEVED_FOR:
            return ()
        return self._healthy.get(primary, ())

    def have_reached(self, primary: str, txid: int) -> bool:
        """Whether whoever reads from a replica of a primary will find ``txid`` there.

        That is, this process and every other.
        """
        return all(
            self._txids.get(replica.alias, -1) >= txid
            for replica in topology().routed.get(primary, ())
        )

    def _watch(self) -> None:
        while True:
            try:
                self._look()
            except Exception:
                # Without a look nothing counts as healthy; the next may work.
                logger.exception("Litestream's replicas could not be looked at.")
            time.sleep(_INTERVAL)

    def _look(self) -> None:
        healthy: dict[str, tuple[str, ...]] = {}
        txids: dict[str, int] = {}
        for primary, replicas in topology().routed.items():
            for replica in replicas:
                try:
                    txid = self._txid_if_healthy(replica)
                except (DatabaseError, ImproperlyConfigured) as error:
                    self._say(str(error))
                    continue
                if txid is not None:
                    txids[replica.alias] = self._shared_txid(replica, txid)
                    healthy[primary] = (*healthy.get(primary, ()), replica.alias)
        self._txids, self._healthy = txids, healthy
        self._looked_at = time.monotonic()

    def _txid_if_healthy(self, replica: Replica) -> int | None:
        connection = self._connections.get(replica.alias)
        if connection is None:
            # This thread's own, as each thread has its own.
            connection = connections[replica.alias]  # type: ignore[assignment]
            assert isinstance(connection, DatabaseWrapper)
            self._connections[replica.alias] = connection
        if connection.replica is None:
            # The test runner has made it a mirror of its primary.
            return None
        ensure_vfs_loaded()
        if not connection.is_live():
            return None
        assert connection.snapshots is not None
        limit = replica.max_lag_seconds
        if limit is not None and connection.snapshots.poll_age() > limit:
            return None
        return connection.snapshots.newest_txid()

    def _shared_txid(self, replica: Replica, txid: int) -> int:
        """Return the TXID that all connections have, now that one has ``txid``."""
        now = time.monotonic()
        seen = self._seen[replica.alias]
        if not seen or seen[-1][1] != txid:
            seen.append((now, txid))
        long_ago = now - replica.shared_after
        while len(seen) > 1 and seen[1][0] <= long_ago:
            seen.popleft()
        seen_at, shared = seen[0]
        return shared if seen_at <= long_ago else -1

    def _say(self, problem: str) -> None:
        """Log why no replica is read from, once."""
        if problem != self._refused:
            self._refused = problem
            logger.warning("%s", problem)


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
