"""The TXID that holds what a request has written, asked of the primary's daemon."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.signals import setting_changed

from . import config, databases
from .configuration import Configuration
from .control import Daemon
from .errors import ConfigurationError, DaemonError, LitestreamError

# A daemon answers within milliseconds. One that does not is not asked by every
# request anew (both in seconds).
_TIMEOUT = 1.0
_PAUSE = 5.0


class SharedCall[T]:
    """A call whose answer goes to all that asked before it began.

    One that is under way is not joined: what was committed since it began may not be
    in its answer.
    """

    def __init__(self, call: Callable[[], T]) -> None:
        self._call = call
        self._lock = threading.Lock()
        self._turn = threading.Lock()
        self._next: Future[T] | None = None

    def __call__(self) -> T:
        """Return the answer of a call that began after this was asked for."""
        with self._lock:
            future = self._next
            if asks := future is None:
                future = self._next = Future()
        if asks:
            with self._turn:
                with self._lock:
                    self._next = None
                try:
                    future.set_result(self._call())
                except BaseException as error:
                    future.set_exception(error)
        return future.result()


class _Primary:
    def __init__(self, alias: str) -> None:
        self._path = databases.sqlite_path(alias)
        configuration = config.build()
        socket = configuration.socket
        self.has_daemon = socket is not None and _is_named(configuration, alias)
        self._daemon = Daemon(socket, timeout=_TIMEOUT) if socket else None
        self._silent_until = 0.0
        self._ask = SharedCall(self._sync)

    def txid(self) -> int | None:
        return None if self._daemon is None else self._ask()

    def _sync(self) -> int | None:
        assert self._daemon is not None
        if time.monotonic() < self._silent_until:
            return None
        try:
            return self._daemon.sync(self._path).txid
        except DaemonError:
            self._silent_until = time.monotonic() + _PAUSE
            return None


def _is_named(configuration: Configuration, alias: str) -> bool:
    try:
        configuration.require(databases.find(alias))
    except ConfigurationError:
        return False
    return True


_primaries: dict[str, _Primary] = {}


def txid_of_commits(alias: str) -> int | None:
    """Return a TXID that holds all commits so far of the database ``alias``.

    ``None`` where no daemon answers. Takes about two milliseconds, a second at most.
    """
    primary = _primary(alias)
    return None if primary is None else primary.txid()


def has_daemon(alias: str) -> bool:
    """Whether the settings say that a daemon replicates ``alias`` and can be asked."""
    primary = _primary(alias)
    return primary is not None and primary.has_daemon


def _primary(alias: str) -> _Primary | None:
    primary = _primaries.get(alias)
    if primary is None:
        try:
            primary = _primaries.setdefault(alias, _Primary(alias))
        except (LitestreamError, ImproperlyConfigured):
            return None
    return primary


def _forget(**kwargs: Any) -> None:
    _primaries.clear()


setting_changed.connect(_forget)
if hasattr(os, "register_at_fork"):
    # A call of the parent's that is under way never ends in a child.
    os.register_at_fork(after_in_child=_forget)
