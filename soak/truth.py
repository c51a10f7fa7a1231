"""What may be read of a ledger, as its journal says while it grows."""

from __future__ import annotations

import threading
from bisect import bisect_right
from pathlib import Path

from tests.proof.journal import Event
from tests.proof.ledger import Row


class Truth:
    """The rows that a journal tells of.

    A row is journalled before its commit, so nobody can read one that is not there
    once ``catch_up`` has been called after the read.
    """

    def __init__(self, journal: Path) -> None:
        self._path = journal
        self._offset = 0
        self._lock = threading.Lock()
        self._begun: dict[int, tuple[str, ...]] = {}
        self._committed: dict[int, str] = {}
        # The newest row at each of these moments, both ascending.
        self._moments: list[float] = []
        self._newest: list[int] = []
        self._seen: dict[int, str] = {}

    def catch_up(self) -> None:
        """Take in what the journal has had since."""
        with self._lock:
            with self._path.open("rb") as journal:
                journal.seek(self._offset)
                lines = journal.read()
            whole = lines[: lines.rfind(b"\n") + 1]
            self._offset += len(whole)
            for line in whole.decode().splitlines():
                if not line.startswith("#"):
                    at, event, number, checksum = line.split(" ")
                    self._take(float(at), Event(event), Row(int(number), checksum))

    def _take(self, at: float, event: Event, row: Row) -> None:
        if event is Event.BEGAN:
            begun = self._begun.get(row.number, ())
            self._begun[row.number] = (*begun, row.checksum)
        elif event is Event.COMMITTED:
            self._committed[row.number] = row.checksum
            # Two processes may write their lines in another order than they commit.
            self._moments.append(max([at, *self._moments[-1:]]))
            self._newest.append(max([row.number, *self._newest[-1:]]))

    def see(self, row: Row) -> bool:
        """Note that ``row`` was read; return whether that may be.

        Of a row that was begun and not heard of again, ``seen_in_vain`` tells later
        whether it was committed. No two rows of one number are ever read.
        """
        with self._lock:
            if (committed := self._committed.get(row.number)) is not None:
                return committed == row.checksum
            if row.checksum not in self._begun.get(row.number, ()):
                return False
            return self._seen.setdefault(row.number, row.checksum) == row.checksum

    def seen_in_vain(self, ledger: dict[int, str]) -> list[Row]:
        """Return what was read and is not in the ledger after all."""
        return [
            Row(number, checksum)
            for number, checksum in self._seen.items()
            if ledger.get(number) != checksum
        ]

    def committed_by(self, moment: float) -> int:
        """Return the number of the newest row that was committed by ``moment``."""
        with self._lock:
            index = bisect_right(self._moments, moment)
            return self._newest[index - 1] if index else 0

    def committed_at(self, number: int) -> float | None:
        """Return by when the row was committed, if it is known to be."""
        with self._lock:
            index = bisect_right(self._newest, number - 1)
            return self._moments[index] if index < len(self._moments) else None

    def committed(self) -> dict[int, str]:
        """Return the checksums of all rows that are known to be committed."""
        with self._lock:
            return dict(self._committed)
