"""What was measured at several sizes of a database, and how it grows with them."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping
from dataclasses import dataclass

MILLISECONDS = 1_000

NOT_MEASURED = "-"

BySize = Mapping[int, float]


@dataclass(frozen=True, kw_only=True)
class Figure:
    """Seconds by who was measured and by the megabytes of the database."""

    title: str
    lines: Mapping[str, BySize]

    @property
    def sizes(self) -> list[int]:
        return sorted({size for values in self.lines.values() for size in values})

    @property
    def file_name(self) -> str:
        words = "".join(
            character if character.isalnum() else " "
            for character in self.title.replace(",", "").lower()
        )
        return "-".join(words.split()) + ".svg"


def exponent(values: BySize) -> float:
    """Return how what was measured grows: 0 if not at all, 1 as the database does.

    It is the slope of the line that fits the logarithms with the least squares.
    """
    return statistics.linear_regression(
        [math.log(size) for size in values],
        [math.log(value) for value in values.values()],
    ).slope


def milliseconds(seconds: float | None) -> str:
    """Return three digits that count, or what stands for nothing measured."""
    if seconds is None:
        return NOT_MEASURED
    shown = seconds * MILLISECONDS
    digits = 2 - math.floor(math.log10(shown)) if shown else 0
    return f"{round(shown, digits):,.{max(0, digits)}f}"
