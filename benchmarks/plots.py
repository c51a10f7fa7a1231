"""Figures drawn as SVG: lines on two logarithmic axes.

There is no background, and each colour can be read on white and on black.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from .figures import MILLISECONDS, Figure

_WIDTH, _HEIGHT = 760, 400
_LEFT, _RIGHT, _TOP, _BOTTOM = 80, 210, 48, 52
_LINE_OF_TEXT = 16
_INK = "#757c86"
_COLOURS = (
    *("#2f81f7", "#d9730d", "#1f9d63", "#bf4fb5"),
    *("#8169e6", "#a3850c", "#d64550", "#128ea3"),
)

_STYLE = f"""\
text {{ font: 13px system-ui, sans-serif; fill: {_INK}; }}
.title {{ font-size: 15px; font-weight: 600; }}
.grid {{ stroke: {_INK}; stroke-opacity: 0.3; }}
.line {{ fill: none; stroke-width: 2; }}"""


@dataclass(frozen=True)
class _Axis:
    """Positions on a logarithmic scale whose ends are at two places of the picture."""

    low: float
    high: float
    start: float
    end: float

    def place(self, value: float) -> float:
        part = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + part * (self.end - self.start)


def draw(figure: Figure, directory: Path) -> None:
    directory.mkdir(exist_ok=True)
    (directory / figure.file_name).write_text(as_svg(figure), encoding="utf-8")


def as_svg(figure: Figure) -> str:
    sizes = figure.sizes
    shown = [
        value * MILLISECONDS
        for values in figure.lines.values()
        for value in values.values()
    ]
    decades = [
        10.0**power
        for power in range(
            math.floor(math.log10(min(shown))), math.ceil(math.log10(max(shown))) + 1
        )
    ]
    if len(decades) == 1:
        decades.append(decades[0] * 10)
    across = _Axis(sizes[0], sizes[-1], _LEFT, _WIDTH - _RIGHT)
    up = _Axis(decades[0], decades[-1], _HEIGHT - _BOTTOM, _TOP)
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'width="{_WIDTH}" height="{_HEIGHT}" role="img">',
            f"<title>{escape(figure.title)}</title>",
            f"<style>{_STYLE}</style>",
            _text(_LEFT, 24, f"{figure.title} (ms)", css="title"),
            *_grid(decades, sizes, across, up),
            *_lines(figure, across, up),
            "</svg>",
            "",
        ]
    )


def _grid(
    decades: Sequence[float], sizes: Sequence[int], across: _Axis, up: _Axis
) -> Iterator[str]:
    for decade in decades:
        y = up.place(decade)
        yield _rule(across.start, y, across.end, y)
        yield _text(across.start - 10, y + 4, f"{decade:,.10g}", anchor="end")
    for size in sizes:
        x = across.place(size)
        yield _rule(x, up.start, x, up.end)
        yield _text(x, up.start + 20, f"{size:,}", anchor="middle")
    middle = (across.start + across.end) / 2
    yield _text(middle, up.start + 42, "size of the database (MB)", anchor="middle")


def _lines(figure: Figure, across: _Axis, up: _Axis) -> Iterator[str]:
    drawn = []
    for (name, values), colour in zip(figure.lines.items(), _COLOURS, strict=False):
        points = [
            (across.place(size), up.place(value * MILLISECONDS))
            for size, value in sorted(values.items())
        ]
        joined = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
        yield f'<polyline class="line" stroke="{colour}" points="{joined}"/>'
        for x, y in points:
            yield f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"/>'
        drawn.append((points[-1], name, colour))
    drawn.sort(key=lambda line: line[0][1])
    places = _apart([y for (_, y), _, _ in drawn], up.start)
    for ((x, y), name, colour), place in zip(drawn, places, strict=True):
        label = across.end + 22
        yield (
            f'<line x1="{x + 6:.1f}" y1="{y:.1f}" x2="{label - 4:.1f}" y2="{place:.1f}" '
            f'stroke="{colour}" stroke-opacity="0.5"/>'
        )
        yield _text(label, place + 4, name.replace("`", ""), colour=colour)


def _apart(wanted: Sequence[float], lowest: float) -> list[float]:
    """Return heights for labels near the wanted ones, which are sorted, with room."""
    places: list[float] = []
    for y in wanted:
        places.append(max(y, places[-1] + _LINE_OF_TEXT) if places else y)
    limit = lowest
    for index in reversed(range(len(places))):
        places[index] = min(places[index], limit)
        limit = places[index] - _LINE_OF_TEXT
    return places


def _rule(x1: float, y1: float, x2: float, y2: float) -> str:
    return (
        f'<line class="grid" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'
    )


def _text(
    x: float,
    y: float,
    text: str,
    *,
    anchor: str = "start",
    css: str = "",
    colour: str = "",
) -> str:
    more = f' class="{css}"' if css else ""
    if colour:
        more += f' style="fill: {colour}"'
    return (
        f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}"{more}>'
        f"{escape(text)}</text>"
    )
