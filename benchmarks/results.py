"""The results as they are printed and kept: Markdown whose tables can be read as text."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace

import django

from django_litestream.artifacts import LITESTREAM_VERSION

from .comparison import SHORT
from .figures import NOT_MEASURED, Figure, exponent, milliseconds

# The sections that each subject has rows in.
TARGETS = "What must be"
RUNS = "Runs"
GROWTH = "Growth"
PLOTS = "Plots"

# A slope between two sizes says little.
_SIZES_OF_A_SLOPE = 3


@dataclass(frozen=True, kw_only=True)
class Target:
    """What was measured beside what it must be."""

    what: str
    measured: float
    at_most: float
    unit: str = ""

    @property
    def row(self) -> tuple[str, ...]:
        verdict = "met" if self.measured <= self.at_most else "**missed**"
        measured = f"{self.measured:.2f}".removesuffix(".00")
        return (
            self.what,
            f"{measured}{self.unit}",
            f"{self.at_most:g}{self.unit}",
            verdict,
        )


@dataclass(frozen=True, kw_only=True)
class Table:
    """Figures of one subject, with what there is to know about them."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    is_text: bool = False


Result = Target | Table | Figure


@dataclass
class Results:
    targets: list[Target] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    figures: list[Figure] = field(default_factory=list)
    runs: list[Sequence[str]] = field(default_factory=list)

    def add(self, *found: Result) -> None:
        for one in found:
            if isinstance(one, Target):
                self.targets.append(one)
            elif isinstance(one, Figure):
                self.figures.append(one)
            else:
                self.tables.append(one)

    def add_run(
        self, subject: str, runs: int, seconds: float, load_before: float
    ) -> None:
        """Note how long a subject took, and how busy the machine was (not on Windows)."""
        self.runs.append(
            (
                subject,
                str(runs),
                f"{seconds:.0f} s",
                f"{load_before:.1f}",
                f"{os.getloadavg()[0]:.1f}",
            )
        )

    def as_markdown(self, command: str, plots: Iterable[str], before: str = "") -> str:
        """Return the results, with those of ``before`` that were not found anew."""
        kept = _sections(before)
        heading = [
            "# Benchmarks",
            "",
            f"Written by `{command}`, do not edit. {_versions()}; medians of "
            f"several runs, of {SHORT} times as many where one is short, of fewer where one "
            "is long; what is compared was measured in turns.",
        ]
        tables = (
            *(self._merged(kept, table) for table in (self._targets(), self._runs())),
            *self.tables,
            self._merged(kept, self._growth()),
        )
        found = {table.title: "\n".join(_section(table)) for table in tables}
        # At the end, wherever they were.
        for title in (GROWTH, PLOTS):
            kept.pop(title, None)
        found[PLOTS] = "\n".join(["", f"## {PLOTS}", "", *_images(plots)])
        return "\n".join([*heading, *(kept | found).values(), ""])

    def _targets(self) -> Table:
        return Table(
            title=TARGETS,
            columns=("what", "measured", "at most", ""),
            rows=[target.row for target in self.targets],
        )

    def _runs(self) -> Table:
        return Table(
            title=RUNS,
            note=f"The load is what waited for {os.cpu_count()} processors, in the minute "
            "before and in the last one.",
            columns=("subject", "runs", "took", "load before", "load at its end"),
            rows=self.runs,
        )

    def _growth(self) -> Table:
        sizes = sorted({size for figure in self.figures for size in figure.sizes})
        return Table(
            title=GROWTH,
            note="Milliseconds by the size of the database. The exponent is the slope of "
            "the logarithms, fitted by least squares: 0 is no growth, 1 is growth as that "
            "of the database. What would have taken too long was left out.",
            columns=("what", *(f"{size:,} MB" for size in sizes), "exponent"),
            rows=[
                (
                    f"{figure.title}: {name}",
                    *(milliseconds(values.get(size)) for size in sizes),
                    f"{exponent(values):.2f}"
                    if len(values) >= _SIZES_OF_A_SLOPE
                    else NOT_MEASURED,
                )
                for figure in self.figures
                for name, values in figure.lines.items()
            ],
        )

    @staticmethod
    def _merged(kept: dict[str, str], table: Table) -> Table:
        """Return the table with the rows of a kept one that it does not replace."""
        lines = kept.get(table.title, "").splitlines()
        columns, _, *rows = [
            tuple(cell.strip() for cell in line.strip("|").split("|"))
            for line in lines
            if line.startswith("|")
        ] or [(), ()]
        if not table.rows:
            table = replace(table, columns=columns or table.columns)
        elif columns != tuple(table.columns):
            # Of other sizes.
            rows = []
        merged = {row[0]: row for row in (*rows, *table.rows)}
        return replace(table, rows=list(merged.values()))


def _sections(markdown: str) -> dict[str, str]:
    """Return the sections of what ``as_markdown`` has returned, by their titles."""
    _, *texts = markdown.split("\n## ")
    return {text.partition("\n")[0]: f"\n## {text.rstrip()}" for text in texts}


def _versions() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, Django "
        f"{django.get_version()}, SQLite {sqlite3.sqlite_version}, Litestream {LITESTREAM_VERSION}, "
        f"{sys.platform} on {platform.machine()}"
    )


def _images(plots: Iterable[str]) -> Iterable[str]:
    for name in plots:
        title = name.removesuffix(".svg").replace("-", " ")
        yield f"![{title}](plots/{name})"


def _section(table: Table) -> Iterable[str]:
    yield from ("", f"## {table.title}", "")
    if table.note:
        yield from (table.note, "")
    widths = [
        max(len(row[column]) for row in (table.columns, *table.rows))
        for column in range(len(table.columns))
    ]
    is_left = [table.is_text or column == 0 for column in range(len(widths))]
    rules = [
        ":" + "-" * (width - 1) if left else "-" * (width - 1) + ":"
        for width, left in zip(widths, is_left, strict=True)
    ]
    for row in (table.columns, rules, *table.rows):
        padded = (
            cell.ljust(width) if left else cell.rjust(width)
            for cell, width, left in zip(row, widths, is_left, strict=True)
        )
        yield f"| {' | '.join(padded)} |"
