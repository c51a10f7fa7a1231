"""What the demo prints: values in, text out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from textwrap import fill, indent, wrap

from .contents import Contents

_WIDTH = 88
_NAME = 27
_DETAIL = 40
_COLUMN = 11
_CHECKSUM = 8


@dataclass(frozen=True, kw_only=True)
class Palette:
    """The escape sequences around what stands out; all empty without colour."""

    bold: str = ""
    faint: str = ""
    good: str = ""
    bad: str = ""
    end: str = ""


PLAIN = Palette()
COLOURED = Palette(
    bold="\033[1m", faint="\033[2m", good="\033[32m", bad="\033[31m", end="\033[0m"
)


def heading(text: str, palette: Palette) -> str:
    return f"{palette.bold}{text}{palette.end}\n"


def step(name: str, seconds: float, detail: str, palette: Palette) -> str:
    took = f"{palette.faint}{seconds:6.2f} s{palette.end}"
    details = ("\n" + " " * _DETAIL).join(wrap(detail, _WIDTH - _DETAIL))
    return f"  {name:<{_NAME}}{took}   {details}".rstrip()


def failed_step(name: str, seconds: float, palette: Palette) -> str:
    return step(name, seconds, "", palette) + f"   {palette.bad}failed{palette.end}"


def quoted(text: str) -> str:
    """Return what a command told, set off from the steps."""
    return f"\n{indent(text, '    ')}\n"


def comparison(columns: Mapping[str, Contents], palette: Palette) -> str:
    """Return a table of how many rows of each model there are in each column."""
    head = _row("rows", columns)
    lines = ["", f"  {palette.faint}{head}{palette.end}"]
    for model in sorted({model for one in columns.values() for model in one.rows}):
        counts = [contents.rows[model] for contents in columns.values()]
        row = _row(model, counts)
        if len(set(counts)) > 1:
            row = f"{palette.bad}{row}{palette.end}"
        lines.append(f"  {row}")
    checksums = [one.checksum[:_CHECKSUM] for one in columns.values()]
    lines.append(f"  {_row('SHA-256 of their content', checksums)}\n")
    return "\n".join(lines)


def _row(name: str, cells: Iterable[object]) -> str:
    return f"{name:<{_NAME}}" + "".join(f"{cell:>{_COLUMN}}" for cell in cells)


def difference(before: Contents, after: Contents) -> str:
    """Return what is wrong with the restored rows in a sentence, or nothing."""
    if missing := (before.rows - after.rows).total():
        return f"{missing} of {before.total} rows are missing."
    if before != after:
        return "The rows are not the same."
    return ""


def success(text: str, remark: str, palette: Palette) -> str:
    remark = fill(remark, _WIDTH)
    return f"{palette.good}{text}{palette.end}\n\n{palette.faint}{remark}{palette.end}"


def failure(said: str, log: str, palette: Palette) -> str:
    """Return what went wrong and how the daemon's log ends."""
    parts = [f"\n{palette.bad}The demo failed.{palette.end}\n", indent(said, "  ")]
    if log:
        parts += ["\nThe daemon's log ends:\n", indent(log, "  ")]
    return "\n".join(parts)
