"""For how long a replica has lacked what its primary has.

A poll tells how old a listing is, not how old what was listed is: a daemon that runs
and cannot upload leaves a replica that is polled with success and stands still.
"""

from __future__ import annotations

import time
from collections import deque

from django.core.exceptions import ImproperlyConfigured

from . import config, databases
from .control import Daemon
from .errors import LitestreamError


class Distance:
    """The time that passes between a primary's transactions and a replica's."""

    def __init__(self) -> None:
        self._ahead: deque[tuple[int, float]] = deque()

    def note(self, txid: int) -> None:
        """Note the newest transaction of the primary."""
        if not self._ahead or txid > self._ahead[-1][0]:
            self._ahead.append((txid, time.monotonic()))

    def seconds(self, txid: int) -> float:
        """Return for how long a replica whose newest is ``txid`` has lacked one."""
        while self._ahead and self._ahead[0][0] <= txid:
            self._ahead.popleft()
        return time.monotonic() - self._ahead[0][1] if self._ahead else 0.0


def newest_of_primary(alias: str, timeout: float) -> int | None:
    """Return the newest transaction of a database's daemon, if it answers in time.

    ``timeout`` is in seconds. ``None`` too where the settings are those of no daemon.
    """
    try:
        socket = config.build().socket
        if socket is None:
            return None
        daemon = Daemon(socket, timeout=timeout)
        return daemon.txid(databases.sqlite_path(alias))
    except (LitestreamError, ImproperlyConfigured):
        return None
