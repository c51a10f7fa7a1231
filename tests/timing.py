"""How long something takes, over and over, on a machine that may be busy."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from statistics import median

# What no decision and no read may take, with so many exceptions as a busy machine
# makes by itself: threads that wait for a processor.
SLOW = 0.05
SHARE_OF_SLOW = 0.01


@dataclass(frozen=True)
class Times:
    """Seconds that something took, many times."""

    median: float
    longest: float
    slow: float

    @classmethod
    def of(cls, seconds: list[float]) -> Times:
        slow = sum(one > SLOW for one in seconds) / len(seconds)
        return cls(median(seconds), max(seconds), slow)

    def assert_unnoticeable(self) -> None:
        assert self.median < SLOW / 10
        assert self.slow < SHARE_OF_SLOW
        assert self.longest < 10


def timed(function: Callable[[], object]) -> float:
    begun = time.perf_counter()
    function()
    return time.perf_counter() - begun
