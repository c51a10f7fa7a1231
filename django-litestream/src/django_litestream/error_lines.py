"""What comes on standard error: a log, and why Litestream fails at its end."""

from __future__ import annotations

from collections.abc import Callable

_BEGINNING = "Error: "

# No reason has as many lines. A daemon's standard error is that of what -exec runs too,
# and grows for as long.
_MOST_LINES = 100


class ErrorLines:
    """Takes the lines, and shows those that are not the reason of a failure.

    ``at_once`` has each line shown as it comes, whoever it is of.
    """

    def __init__(self, show: Callable[[str], object], *, at_once: bool) -> None:
        self._show = show
        self._at_once = at_once
        self._held: list[str] = []

    def take(self, line: str) -> None:
        """Take one line, its end included."""
        begins = line.startswith(_BEGINNING)
        if self._at_once and begins:
            self._held.clear()
        is_held = begins or bool(self._held)
        if self._at_once or not is_held:
            self._show(line)
        if is_held and len(self._held) < _MOST_LINES:
            self._held.append(line)

    def reason(self, status: int) -> str:
        """Return why the exit status is what it is; 0 has none, and shows what was held."""
        if status:
            return "".join(line.removeprefix(_BEGINNING) for line in self._held)
        if not self._at_once:
            for line in self._held:
                self._show(line)
        return ""
