"""A connection through the VFS."""

from __future__ import annotations

import math
import sqlite3
import time
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from .bounded import Waiting


@dataclass(slots=True)
class Snapshot:
    """What SQLite reads until its transaction ends, from thread to thread.

    ``txid`` is a transaction that it holds, with all before it; ``looked_at``,
    ``read_at`` and ``ends`` are when that was found, when the first was read from it,
    and until when statements may share it, by the monotonic clock. ``is_checked`` says
    that something was read from it and that it was then looked at whether it lacks
    commits.
    """

    txid: int
    looked_at: float
    read_at: float = math.inf
    ends: float = 0.0
    is_shared: bool = False
    is_checked: bool = False


class ReplicaConnection(sqlite3.Connection):
    """A connection through the VFS, closed with its last reference.

    ``opened_at`` and ``put_back_at`` are moments of the monotonic clock; ``waiting``
    says whether its reads are likely to wait for the storage; ``compacted`` is the
    newest TXID in level 1 that is known not to cover anything newer; ``snapshot`` is
    the one that was begun last.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.opened_at = time.monotonic()
        self.put_back_at = 0.0
        self.compacted = 0
        self.waiting = Waiting()
        self.snapshot = Snapshot(0, self.opened_at)

    def __del__(self) -> None:
        # One that could not be opened cannot be closed either.
        with suppress(sqlite3.ProgrammingError):
            self.close()
