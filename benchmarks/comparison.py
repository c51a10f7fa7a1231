"""Medians of what is measured in turns.

Each comparison is made in turns, so that a machine that slows down slows all sides.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

Measure = Callable[[], float]

# Times as many runs of what takes less than a second.
SHORT = 5


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Medians of two things measured in turns, in the same unit."""

    ours: float
    theirs: float

    @property
    def ratio(self) -> float:
        return self.ours / self.theirs

    @property
    def difference(self) -> float:
        return self.ours - self.theirs


def medians_in_turns(
    runs: int, *measures: Measure, seconds: float = math.inf
) -> list[float]:
    """Return the median of each of the ``measures``.

    No turn but the first begins after so many ``seconds``.
    """
    until = time.monotonic() + seconds
    turns = [[measure() for measure in measures]]
    while len(turns) < runs and time.monotonic() < until:
        turns.append([measure() for measure in measures])
    return [statistics.median(of_one) for of_one in zip(*turns, strict=True)]


def in_turns(
    ours: Measure, theirs: Measure, runs: int, seconds: float = math.inf
) -> Comparison:
    ours_median, theirs_median = medians_in_turns(runs, ours, theirs, seconds=seconds)
    return Comparison(ours=ours_median, theirs=theirs_median)
