"""The results as they are printed and kept: Markdown whose tables can be read as text."""

from __future__ import annotations

import platform
import sqlite3
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

import django

from django_litestream.artifacts import LITESTREAM_VERSION

from .comparison import SHORT

TARGETS = "What must be"


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


@dataclass
class Results:
    targets: list[Target] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)

    def add(self, *found: Target | Table) -> None:
        for one in found:
            if isinstance(one, Target):
                self.targets.append(one)
            else:
                self.tables.append(one)

    def as_markdown(self, command: str, runs: int, before: str = "") -> str:
        """Return the results, with those of ``before`` that were not found anew."""
        kept = _sections(before)
        targets = Table(
            title=TARGETS,
            columns=("what", "measured", "at most", ""),
            rows=_merged(kept.get(TARGETS), [target.row for target in self.targets]),
        )
        heading = [
            "# Benchmarks",
            "",
            f"Written by `{command}`, do not edit. {_versions()}; medians of {runs} runs, "
            f"of {SHORT * runs} where one is short; what is compared was measured in turns.",
        ]
        found = {
            table.title: "\n".join(_section(table)) for table in (targets, *self.tables)
        }
        return "\n".join([*heading, *(kept | found).values(), ""])


def _sections(markdown: str) -> dict[str, str]:
    """Return the sections of what ``as_markdown`` has returned, by their titles."""
    _, *texts = markdown.split("\n## ")
    return {text.partition("\n")[0]: f"\n## {text.rstrip()}" for text in texts}


def _merged(
    section: str | None, rows: list[tuple[str, ...]]
) -> Sequence[Sequence[str]]:
    """Return ``rows``, and those of a section's table that they do not replace."""
    lines = (section or "").splitlines()
    cells = [
        tuple(cell.strip() for cell in line.strip("|").split("|"))
        for line in lines
        if line.startswith("|")
    ]
    return list(
        ({row[0]: row for row in cells[2:]} | {row[0]: row for row in rows}).values()
    )


def _versions() -> str:
    return (
        f"{platform.python_implementation()} {platform.python_version()}, Django "
        f"{django.get_version()}, SQLite {sqlite3.sqlite_version}, Litestream {LITESTREAM_VERSION}, "
        f"{sys.platform} on {platform.machine()}"
    )


def _section(table: Table) -> Iterable[str]:
    yield from ("", f"## {table.title}", "")
    if table.note:
        yield from (table.note, "")
    widths = [
        max(len(row[column]) for row in (table.columns, *table.rows))
        for column in range(len(table.columns))
    ]
    yield _line(table.columns, widths)
    rules = [
        ":" + "-" * (widths[0] - 1),
        *("-" * (width - 1) + ":" for width in widths[1:]),
    ]
    yield _line(rules, widths)
    for row in table.rows:
        yield _line(row, widths)


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    first, *others = zip(cells, widths, strict=True)
    padded = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
    return f"| {' | '.join(padded)} |"
