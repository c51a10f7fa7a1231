"""What is wrong with a value in the settings, in one form of words.

Whatever the value is, its message is one line that can be read and has no secret.
"""

from __future__ import annotations

import os
import re
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import PurePath
from typing import Any

_LONGEST_SHOWN = 80
# What a path may have: Linux has 4,096 bytes for it.
_LONGEST_LINE = 4_096
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in ``settings.LITESTREAM`` that is not as it must be.

    ``id`` is the number of the system check that reports it.
    """

    id: str
    message: str
    hint: str


def wrong(where: str, expected: str, got: str = "") -> Problem:
    """Return the problem that what is at ``where`` is not what was ``expected``."""
    return Problem(
        id="E001",
        message=f"{where} is improperly configured: expected {expected}"
        f"{f', got {got}' if got else ''}.",
        hint=f"Make it {expected}.",
    )


def wrong_value(where: str, expected: str, value: Any) -> Problem:
    """Return the problem that ``value`` at ``where`` is not what was ``expected``."""
    return wrong(where, expected, shown(value))


def at(where: str, key: Any) -> str:
    """Return the place of what ``key`` leads to."""
    return f"{where}[{shown(key)}]"


def shown(value: Any) -> str:
    """Return what a message tells of a value.

    A container is told by its type, for there may be secrets anywhere in it.
    """
    if isinstance(value, str | PurePath):
        has_secret = "@" in str(value) or _URL.match(str(value))
        return "text that may hold a secret" if has_secret else quoted(value)
    if isinstance(value, int) and value.bit_length() > 64:
        return f"a number of {value.bit_length()} bits"
    if value is None or isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple | dict) and not value:
        return repr(value)
    return str(type(value))


def names(keys: Collection[Any]) -> str:
    """Return what a message tells of the keys of a dictionary."""
    told = ", ".join(sorted(map(shown, keys)))
    return f"[{told}]" if len(told) <= _LONGEST_SHOWN else f"{len(keys)} other keys"


def quoted(text: str | PurePath) -> str:
    """Return a text in quotes, its beginning if it is long."""
    written = str(text)
    if len(written) <= _LONGEST_SHOWN:
        return repr(written)
    return f"{written[:_LONGEST_SHOWN]!r}... ({len(written)} characters)"


def in_line(text: str | PurePath) -> str:
    """Return a path or an alias as it is, quoted where that would be no line."""
    written = str(text)
    is_line = written.isprintable() and len(written) <= _LONGEST_LINE
    return written if is_line else quoted(written)


def is_path(value: Any) -> bool:
    """Whether ``value`` can be the path of a file, and is no URL."""
    if not isinstance(value, str | os.PathLike):
        return False
    path = os.fspath(value)
    return (
        isinstance(path, str)
        and is_text(path)
        and "\0" not in path
        and not _URL.match(path)
    )


def is_text(text: str) -> bool:
    """Whether ``text`` can be written as UTF-8, which half of a surrogate cannot."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
