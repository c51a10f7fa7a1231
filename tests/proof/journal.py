"""What a writer did, kept outside of the database.

Each line is written by one call of the system, so that it is whole whenever the
writer is killed: the time, what happened, and the row.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from .ledger import NOTHING, Row


class Event(StrEnum):
    """What happened to a row.

    A row that ``BEGAN`` may or may not be committed: the writer may have been killed
    before it could say so. ``ACKNOWLEDGED`` is a row of which a sync that was waited
    for said that the replica holds it.
    """

    BEGAN = "began"
    COMMITTED = "committed"
    ACKNOWLEDGED = "acknowledged"


@dataclass(frozen=True)
class Entry:
    """An event, at a time of ``time.time()``."""

    time: float
    event: Event
    row: Row


class Writing:
    """A journal that is being written; several threads may."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def add(self, event: Event, row: Row) -> None:
        os.write(self._file, f"{time.time():.6f} {event} {row}\n".encode())

    def add_failure(self, error: Exception) -> None:
        """Keep what a commit or a sync failed with, for who reads the file."""
        os.write(self._file, f"# {type(error).__name__}: {error}\n".encode())


@dataclass(frozen=True)
class Journal:
    """A journal that was read."""

    entries: tuple[Entry, ...]

    @classmethod
    def read(cls, path: Path) -> Journal:
        """Read what is there by now; the writer may go on."""
        return cls(tuple(_entries(path)) if path.exists() else ())

    def rows(self, event: Event) -> list[Row]:
        return [entry.row for entry in self.entries if entry.event is event]

    def newest(self, event: Event) -> Row:
        return max(self.rows(event), key=lambda row: row.number, default=NOTHING)

    def until(self, moment: float) -> Journal:
        """Return what had happened by ``moment``, a time of ``time.time()``."""
        return Journal(tuple(entry for entry in self.entries if entry.time <= moment))

    def forget(self, lost: Row) -> Journal:
        """Return the journal without what came after ``lost`` was the newest row.

        For a database that was put back on purpose to an older state.
        """
        return Journal(
            tuple(entry for entry in self.entries if entry.row.number <= lost.number)
        )


def _entries(path: Path) -> Iterator[Entry]:
    for line in path.read_text(encoding="utf-8").splitlines():
        if not line.startswith("#"):
            at, event, number, checksum = line.split(" ")
            yield Entry(float(at), Event(event), Row(int(number), checksum))
