"""What is wrong with a value in ``settings.LITESTREAM``, in one form of words."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Problem:
    """Something in ``settings.LITESTREAM`` that is not as it must be.

    ``id`` is the number of the system check that reports it.
    """

    id: str
    message: str
    hint: str


def wrong_value(where: str, expected: str, value: Any) -> Problem:
    """Return the problem that ``value`` at ``where`` is not what was ``expected``."""
    return Problem(
        id="E001",
        message=f"{where} is improperly configured: expected {expected}, got {value!r}.",
        hint=f"Make it {expected}.",
    )
