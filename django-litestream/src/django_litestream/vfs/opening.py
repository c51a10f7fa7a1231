"""Opening a replica in bounded time.

Litestream waits for ever where there is no backup, and two minutes where the storage
is down; nothing can stop it. So a connection is opened in a thread of its own, one at
a time for each replica, and whoever waits may give up. One that comes too late is
kept for the next that asks, and so is one that a request has done with: threads come
and go, under ASGI with every request.
"""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

from .connection import ReplicaConnection

Connect = Callable[[], ReplicaConnection]
Diagnose = Callable[[], str]

# Litestream opens a replica in a tenth of a second; what takes longer is looked into.
_LOOK_INTO_AFTER = 0.5
# How soon an attempt may follow one that failed, where nobody waits for it.
_PAUSE = 5.0
# How long a connection that nobody uses goes on polling the storage.
_IDLE = 60.0


class OpeningFailed(Exception):
    """A replica was not opened; the message is the reason, empty if unknown."""


@dataclass(eq=False)
class _Attempt:
    """One connection being opened; a ``connection`` or a ``reason`` comes of it."""

    started: float = field(default_factory=time.monotonic)
    done: threading.Event = field(default_factory=threading.Event)
    connection: ReplicaConnection | None = None
    reason: str = ""


class Opener:
    """Opens the connections of one replica, one after the other.

    What its methods take as ``connect`` opens one, or raises ``sqlite3.Error`` whose
    message says nothing of the cause; ``diagnose`` finds that in a few seconds, or
    returns nothing.
    """

    def __init__(self, diagnose: Diagnose) -> None:
        self._diagnose = diagnose
        self._lock = threading.Lock()
        self._attempt: _Attempt | None = None
        self._failed_at = -_PAUSE
        self._idle: list[ReplicaConnection] = []
        self._closer: threading.Thread | None = None
        self.reason = ""

    def open(self, connect: Connect, timeout: float) -> ReplicaConnection:
        """Return a connection that nobody else has, within ``timeout`` seconds.

        Raises ``OpeningFailed``.
        """
        if connection := self._take_idle():
            return connection
        deadline = time.monotonic() + timeout
        while True:
            attempt = self._current(connect)
            if not attempt.done.wait(max(0.0, deadline - time.monotonic())):
                self._note(attempt)
                raise OpeningFailed(attempt.reason)
            if connection := self._take(attempt):
                return connection
            if attempt.connection is None:
                raise OpeningFailed(attempt.reason)

    def open_again(self, connect: Connect, timeout: float) -> ReplicaConnection | None:
        """Return a new connection to take the place of one, ``None`` if there is none.

        Of all that ask during an outage one waits for ``timeout`` seconds; the others
        and those that ask later do not.
        """
        # The pollers of those that are kept may be wedged as well.
        self._drop_idle()
        attempt = self._attempt
        if attempt is None:
            if time.monotonic() - self._failed_at < _PAUSE:
                return None
        elif time.monotonic() - attempt.started > timeout:
            return self.open_now(connect)
        try:
            return self.open(connect, timeout)
        except OpeningFailed:
            return None

    def open_now(self, connect: Connect) -> ReplicaConnection | None:
        """Return a connection if one is there; have one opened for later if not."""
        if connection := self._take_idle():
            return connection
        if self._attempt is None and time.monotonic() - self._failed_at < _PAUSE:
            return None
        attempt = self._current(connect)
        return self._take(attempt) if attempt.done.is_set() else None

    def put_back(self, connection: ReplicaConnection) -> None:
        """Keep a connection for the next that asks, in no transaction but a snapshot."""
        connection.put_back_at = time.monotonic()
        with self._lock:
            self._idle = [*self._idle, connection]
            if self._closer is None:
                self._closer = threading.Thread(
                    target=self._close_idle, name="litestream-idle", daemon=True
                )
                self._closer.start()

    def _take_idle(self) -> ReplicaConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _drop_idle(self) -> None:
        with self._lock:
            self._idle = []

    def _close_idle(self) -> None:
        """Close what nobody asks for, until there is nothing left that is kept."""
        while (oldest := self._drop_unused()) is not None:
            time.sleep(max(0.0, oldest + _IDLE - time.monotonic()))

    def _drop_unused(self) -> float | None:
        """Return when the first of those that are kept on was put back."""
        with self._lock:
            before, now = self._idle, time.monotonic()
            # Those that are left out are closed with the list before, without the lock.
            self._idle = [one for one in before if now - one.put_back_at < _IDLE]
            if not self._idle:
                self._closer = None
                return None
            return min(one.put_back_at for one in self._idle)

    def _current(self, connect: Connect) -> _Attempt:
        with self._lock:
            if self._attempt is None:
                self._attempt = _Attempt()
                for work in (partial(self._work, connect), self._look_into):
                    threading.Thread(
                        target=work,
                        args=(self._attempt,),
                        name="litestream-open",
                        daemon=True,
                    ).start()
            return self._attempt

    def _take(self, attempt: _Attempt) -> ReplicaConnection | None:
        """Return what came of an attempt, to one caller, and make room for the next."""
        with self._lock:
            if self._attempt is not attempt:
                return None
            self._attempt = None
        if attempt.connection is None:
            self._note(attempt)
        return attempt.connection

    def _note(self, attempt: _Attempt) -> None:
        self._failed_at = time.monotonic()
        self.reason = attempt.reason

    def _work(self, connect: Connect, attempt: _Attempt) -> None:
        try:
            attempt.connection = connect()
        except sqlite3.Error as error:
            attempt.reason = self._diagnose() or str(error)
        finally:
            attempt.done.set()

    def _look_into(self, attempt: _Attempt) -> None:
        if not attempt.done.wait(_LOOK_INTO_AFTER):
            attempt.reason = self._diagnose() or attempt.reason


_openers: dict[str, Opener] = {}
_openers_lock = threading.Lock()


def opener(name: str, diagnose: Diagnose) -> Opener:
    """Return the process's opener of that name, made with ``diagnose`` if it is new."""
    with _openers_lock:
        if name not in _openers:
            _openers[name] = Opener(diagnose)
        return _openers[name]


def forget(name: str) -> None:
    """Drop an opener that nothing will be opened with again."""
    with _openers_lock:
        _openers.pop(name, None)


def _forget_all() -> None:
    # Their threads stay with the parent, and a lock may be held by one.
    global _openers_lock
    _openers_lock = threading.Lock()
    _openers.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_all)
