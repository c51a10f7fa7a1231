"""Being told to stop without leaving anything behind."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from types import FrameType


class Interruptions:
    """Turns the signals that end a process into ``SystemExit``.

    Not while a guarded resource is being made or removed: it would be left behind.
    """

    def __init__(self) -> None:
        self._received = 0
        self._held = False
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._receive)

    @contextmanager
    def guarding[T](self, resource: AbstractContextManager[T]) -> Iterator[T]:
        """Enter ``resource`` for the block, and leave it, undisturbed."""
        self._held = True
        with resource as value:
            try:
                self._release()
                yield value
            finally:
                self._held = True
        self._release()

    def _receive(self, number: int, frame: FrameType | None) -> None:
        if not self._received:
            self._received = number
            if not self._held:
                self._release()

    def _release(self) -> None:
        self._held = False
        if self._received:
            raise SystemExit(128 + self._received)
