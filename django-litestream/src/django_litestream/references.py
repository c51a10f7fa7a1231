"""Values that Litestream is to take from the environment by itself."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any


class EnvironmentReference(str):
    """The name of the environment variable that holds a value."""

    __slots__ = ()


def references_in(value: Any) -> Iterator[EnvironmentReference]:
    """Yield every reference inside dictionaries and lists."""
    if isinstance(value, EnvironmentReference):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from references_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from references_in(item)
