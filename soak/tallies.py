"""What the clients of a soak have met, counted."""

from __future__ import annotations

import re
import threading
from collections import Counter
from dataclasses import dataclass, field

_VARYING = re.compile(r"\d+(\.\d+)?")


@dataclass
class Tallies:
    """Counts that several threads add to.

    ``answered_by`` counts reads by the alias that they came from, ``failed`` and
    ``refused`` requests by why; ``wrong`` has a line for each wrong answer.
    """

    ok: int = 0
    rows_written: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    refused: Counter[str] = field(default_factory=Counter)
    answered_by: Counter[str] = field(default_factory=Counter)
    wrong: list[str] = field(default_factory=list)
    wrong_by_kind: Counter[str] = field(default_factory=Counter)
    too_stale: list[str] = field(default_factory=list)
    staleness: list[float] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def requests(self) -> int:
        return self.ok + self.failed.total() + self.refused.total()

    def fail(self, reason: str) -> None:
        with self.lock:
            self.failed[_VARYING.sub("N", reason)] += 1

    def refuse(self, reason: str) -> None:
        with self.lock:
            self.refused[reason] += 1

    def replica_share(self) -> float:
        """Return the share of the reads that replicas answered."""
        total = self.answered_by.total()
        replicas = sum(
            count
            for alias, count in self.answered_by.items()
            if alias.endswith("_replica")
        )
        return replicas / total if total else 0.0
