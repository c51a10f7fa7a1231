"""A clock of its own for processes, which can be set while they run."""

from __future__ import annotations

import importlib.util
import os
from dataclasses import dataclass
from pathlib import Path

import pytest

_LIBRARY = Path("vendor", "libfaketime", "src", "libfaketime.so.1")


@dataclass
class Clock:
    """What processes that are started with ``environ`` take for the time of day.

    They look at ``file`` once in a second. As where an administrator sets a machine's
    clock, what counts the seconds from its start goes on. Only what asks the C library
    is deceived, which is all of Python: Go asks the kernel, so the VFS inside of a
    process, and Litestream's own processes, go on by the true time.
    """

    file: Path

    def __post_init__(self) -> None:
        found = importlib.util.find_spec("libfaketime")
        if found is None or found.origin is None:
            pytest.skip("libfaketime is not installed")
        self._library = Path(found.origin).parent / _LIBRARY
        if not self._library.exists():
            pytest.skip("libfaketime has no library for this platform")
        self.set(0)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "LD_PRELOAD": os.fspath(self._library),
            "FAKETIME_TIMESTAMP_FILE": os.fspath(self.file),
            "FAKETIME_CACHE_DURATION": "1",
            "DONT_FAKE_MONOTONIC": "1",
            "NO_FAKE_STAT": "1",
        }

    def set(self, seconds: int) -> None:
        """Have it be ahead of the true time by so much, or behind."""
        new = self.file.with_suffix(".new")
        new.write_text(f"{seconds:+}\n")
        new.replace(self.file)
