"""How far a transfer has come, told to somebody who waits at a terminal."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

# Told of the bytes that have come and of all there are, ``None`` if nobody knows.
Report = Callable[[int, int | None], None]

_INTERVAL = 0.1
_MEGABYTE = 1_000_000


@contextmanager
def on_terminal(title: str, stream: TextIO | None) -> Iterator[Report]:
    """Yield what rewrites one line of ``stream``, which is gone after the block.

    Nothing is written where ``stream`` is no terminal.
    """
    if stream is None or not stream.isatty():
        yield lambda done, whole: None
        return
    line = _Line(title, stream)
    try:
        yield line.report
    finally:
        line.write("")


class _Line:
    def __init__(self, title: str, stream: TextIO) -> None:
        self._title = title
        self._stream = stream
        self._width = 0
        self._written_at = -_INTERVAL

    def report(self, done: int, whole: int | None) -> None:
        now = time.monotonic()
        if now - self._written_at < _INTERVAL and done != whole:
            return
        self._written_at = now
        text = f"{self._title}: {done / _MEGABYTE:.1f}"
        if whole:
            text += f" of {whole / _MEGABYTE:.1f} MB ({100 * done // whole}%)"
        else:
            text += " MB"
        self.write(text)

    def write(self, text: str) -> None:
        text = text[: self._columns() - 1]
        # What was there before is written over, as not every terminal can erase.
        self._stream.write(f"\r{text.ljust(self._width)}")
        if len(text) < self._width:
            self._stream.write(f"\r{text}")
        self._stream.flush()
        self._width = len(text)

    def _columns(self) -> int:
        try:
            return os.get_terminal_size(self._stream.fileno()).columns or 80
        except (OSError, ValueError):
            return 80
