"""The read transactions on a connection to a replica."""

from __future__ import annotations

import math
import sqlite3
import time
from weakref import WeakSet

from ....replicas import Replica
from ....vfs.connection import ReplicaConnection, Snapshot
from .compactions import compactions

# How long ago compactions may have been looked at, in seconds.
_LONGEST_UNKNOWN = 3.0


class Snapshots:
    """The one snapshot that statements outside of ``atomic()`` share for a while.

    Litestream's VFS goes through its index of all pages when a transaction begins and
    SQLite then drops its page cache, so a transaction for each statement would cost
    in proportion to the size of the database.

    It is shared for one poll interval at most, also by those who use the connection
    next. ``readers`` are cursors that may not have read all of their rows yet: while
    there is one SQLite stays on the snapshot that it reads from.
    """

    def __init__(self, connection: ReplicaConnection, replica: Replica) -> None:
        self.replica = replica
        self._connection = connection
        self._compactions = compactions(replica.url)
        self._lacks_commits = False
        self.readers: WeakSet[sqlite3.Cursor] = WeakSet()

    @property
    def last(self) -> Snapshot:
        """The snapshot that was begun last, shared or not."""
        return self._connection.snapshot

    @property
    def is_current(self) -> bool:
        """Whether a statement may be read from the shared snapshot."""
        last = self._connection.snapshot
        return (
            last.is_shared
            and not self._lacks_commits
            and time.monotonic() < last.ends
            and self._connection.in_transaction
        )

    @property
    def is_in_transaction_by_hand(self) -> bool:
        """Whether there is a transaction that is no shared snapshot."""
        return self._connection.in_transaction and not self.last.is_shared

    def begin(self) -> None:
        """Begin a snapshot that statements share until it ends or is too old."""
        self.look()
        self._connection.execute("BEGIN")
        self.last.is_shared = True
        replica = self.replica
        lifetime = min(replica.poll_interval, replica.reopen_after - self.age())
        if self.readers:
            # SQLite stays on the one before, which is no newer.
            lifetime = 0.0
        self.last.ends = time.monotonic() + lifetime

    def end(self) -> None:
        """End the shared snapshot, if there is one."""
        if self.last.is_shared and self._connection.in_transaction:
            self._connection.execute("COMMIT")
        self.last.is_shared = False

    def look(self) -> None:
        """Note the newest transaction, which the next snapshot will hold."""
        if self.readers:
            self.last.is_checked = False
        else:
            looked_at = time.monotonic()
            self._connection.snapshot = Snapshot(self.newest_txid(), looked_at)

    def note_read(self) -> None:
        """Note that something was read, from when on nothing comes to the snapshot."""
        if self._connection.in_transaction:
            self.last.read_at = min(self.last.read_at, time.monotonic())

    def holds(self, txid: int) -> bool:
        """Whether the transaction ``txid`` is sure to be read, zero for none.

        A compaction covers what is newer than itself, and may come at any time: where
        the upload of one takes long, after a daemon's start, by another clock. So it is
        known to cover nothing only where the newest one holds ``txid``, or where there
        was no newer one when the replica was listed after the snapshot began.
        """
        if not txid:
            return True
        if self.last.txid < txid:
            return False
        was_listed_since = self._compactions.listed_at >= self.last.read_at
        if self.lacks_commits():
            return False
        return was_listed_since or self._connection.compacted >= txid

    def lacks_commits(self) -> bool:
        """Whether a compaction may have taken back commits that the connection had.

        Or whether it reads a replica that was emptied since and begun anew, whose
        transactions it would take for those it has, by their numbers. Both end with
        another connection only. What a snapshot reads is sure to be
        right where this is called once it has been read from.
        """
        if self._is_of_the_past:
            return False
        compacted = self._compactions.newest
        if compacted != self._connection.compacted:
            # Even one that has nothing newer yet: it may poll both at once.
            self._connection.compacted = compacted
            self._lacks_commits = True
        return self._lacks_commits

    def look_at_compactions(self) -> None:
        """Find out what was compacted before the newest poll, where that is unknown.

        Nobody may have read from the replica, and so looked, for long.
        """
        if self._is_of_the_past:
            return
        age = self._compactions.age
        if age > _LONGEST_UNKNOWN and age > self.poll_age() + 1:
            self._compactions.look()

    def newest_txid(self) -> int:
        """Return the newest transaction the connection has.

        In the middle of a snapshot it may be a newer one than can be read.
        """
        return int(self._pragma("txid"), 16)

    def age(self) -> float:
        """Return ``poll_age``, or how long a cursor has kept SQLite on its snapshot."""
        if self.readers and not self._is_of_the_past:
            return max(self.poll_age(), time.monotonic() - self.last.looked_at)
        return self.poll_age()

    def poll_age(self) -> float:
        """Return the whole seconds since the replica was polled with success, or opened.

        Infinite for a connection that the VFS has lost, zero for one to a moment of the
        past, to which nothing comes.
        """
        if self._is_of_the_past:
            return 0.0
        try:
            polled = float(self._pragma("lag"))
        except (sqlite3.Error, LookupError):
            return math.inf
        if polled >= 0:
            return polled
        # The first poll comes when an interval is over, and not a moment earlier.
        return float(int(time.monotonic() - self._connection.opened_at))

    @property
    def _is_of_the_past(self) -> bool:
        """Whether a moment is read that nothing comes to, so that it is not polled."""
        return self.replica.moment is not None

    def _pragma(self, name: str) -> str:
        rows = self._connection.execute(f"PRAGMA litestream_{name}").fetchall()
        return str(rows[0][0])
