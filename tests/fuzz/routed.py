"""``DATABASES`` and ``LITESTREAM`` exchanged in the process of the tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from django.db import connections

from django_litestream.replicas import Replica

from ..settings import DATABASES


@contextmanager
def databases_are(given: Mapping[str, Any]) -> Iterator[None]:
    """Have these in ``DATABASES`` too, which Django must not refuse by itself."""
    made = connections.configure_settings({**DATABASES, **given})
    before = connections.settings
    try:
        _set(made)
        yield
    finally:
        _set(before)


@contextmanager
def primaries_are(*aliases: str) -> Iterator[None]:
    """Have a database of each of ``aliases``, and a replica that is read from."""
    replicas = [
        Replica(alias=f"replica {number}", url="file:///srv/replica", primary=alias)
        for number, alias in enumerate(aliases)
    ]
    others = dict.fromkeys(set(aliases) - DATABASES.keys(), DATABASES["memory"])
    with databases_are(
        {**others, **{one.alias: one.as_database() for one in replicas}}
    ):
        yield


def _set(settings: Any) -> None:
    opened = connections._connections  # type: ignore[attr-defined]
    for alias in {*connections.settings, *settings}:
        if hasattr(opened, alias):
            delattr(opened, alias)
    vars(connections)["settings"] = settings
