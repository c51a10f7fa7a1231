"""``settings.LITESTREAM`` built for a test."""

from __future__ import annotations

from typing import Any

from django.test import override_settings

from django_litestream import config
from django_litestream.configuration import Configuration

FILE = {"type": "file", "path": "/srv/replica"}


def build(
    dbs: list[dict[str, Any]], environ: dict[str, str] | None = None, **others: Any
) -> Configuration:
    with override_settings(LITESTREAM={"dbs": dbs, **others}):
        return config.build(environ or {})
