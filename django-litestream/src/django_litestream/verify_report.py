"""What ``verify`` found out about a backup, for people and for machines."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

from .databases import Database


class Verdict(IntEnum):
    """What a verification found; the numbers are exit statuses."""

    GOOD = 0
    BAD = 1
    UNCHECKED = 2


@dataclass(kw_only=True)
class Report:
    """What was found out about one database's backup.

    ``steps`` maps what was done to how long it took, in seconds. ``txid`` is the
    newest transaction known to be in the replica. ``compared`` tells whether each page
    of the restored database was found to be the database's, ``not_compared`` why none
    was looked at.
    """

    database: Database
    verdict: Verdict = Verdict.UNCHECKED
    reason: str = ""
    steps: dict[str, float] = field(default_factory=dict)
    txid: int | None = None
    compared: bool = False
    not_compared: str = "no daemon answers"

    def as_dict(self) -> dict[str, Any]:
        """Return what ``verify -json`` prints; times are in seconds."""
        return {
            "database": self.database.label,
            "path": str(self.database.path),
            "status": self.verdict.name.lower(),
            "reason": self.reason or None,
            "txid": self._txid,
            "compared": self.compared,
            "steps": {step: round(took, 3) for step, took in self.steps.items()},
        }

    def __str__(self) -> str:
        steps = "".join(
            f"\n  {step:<24} {took:7.3f} s" for step, took in self.steps.items()
        )
        pages = ", and every page is the same" if self.compared else ""
        outcome = self.reason or (
            f"the newest commit can be restored (TXID {self._txid}){pages}"
        )
        return f"{self.database.label}: {self.verdict.name.lower()}: {outcome}{steps}"

    @property
    def warning(self) -> str:
        """What a good backup was not looked at for, empty where that is nothing."""
        if self.compared or self.verdict is not Verdict.GOOD:
            return ""
        return (
            f"{self.database.label}: its pages were not compared: {self.not_compared}"
        )

    @property
    def _txid(self) -> str | None:
        return None if self.txid is None else f"{self.txid:016x}"

    @contextmanager
    def timed(self, step: str) -> Iterator[None]:
        """Add the time that the block takes to ``step``."""
        start = time.monotonic()
        try:
            yield
        finally:
            elapsed = time.monotonic() - start
            self.steps[step] = self.steps.get(step, 0.0) + elapsed
