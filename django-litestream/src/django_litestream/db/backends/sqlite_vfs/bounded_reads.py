"""Reading from a connection, in bounded time where the storage may not answer."""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial

from django.db.utils import OperationalError

from ....vfs.bounded import Waiting, run_bounded, timed
from ....vfs.diagnosis import diagnose
from . import reasons
from .snapshot import Snapshots


class BoundedReads:
    """The reads of one connection to a replica.

    ``is_suspect`` says that the storage may not answer, so that nothing that can be
    read elsewhere should be read from it.
    """

    def __init__(self, snapshots: Snapshots, waiting: Waiting) -> None:
        self._snapshots = snapshots
        self._replica = snapshots.replica
        self._waiting = waiting
        self._suspected_at = 0.0
        self._away = ""
        self.is_suspect = False

    def suspect_anew(self) -> None:
        """Find out whether the storage may not answer, once in a poll interval."""
        now = time.monotonic()
        if now >= self._suspected_at:
            self._suspected_at = now + self._replica.poll_interval
            self.is_suspect = self._snapshots.poll_age() > self._replica.suspect_after

    def read[T](self, read: Callable[[], T]) -> T:
        """Return what ``read`` returns.

        Raises ``TimeoutError`` after ``open_timeout`` if the storage is away.
        """
        if not (self.is_suspect or self._waiting.is_likely):
            return timed(read, self._waiting)
        timeout = self._replica.open_timeout
        bounded = partial(run_bounded, read, timeout, self._may_go_on)
        return timed(bounded, self._waiting)

    def not_in_time(self) -> OperationalError:
        """Return the error that tells why ``read`` was not in time."""
        return reasons.not_read_in_time(self._replica, self._away)

    def _may_go_on(self) -> bool:
        # A query may take as long as it likes.
        self._away = diagnose(self._replica.url)
        return not (self._away or self.is_suspect)
