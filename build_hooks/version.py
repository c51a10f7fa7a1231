"""The version of the distributions that carry a file of a Litestream release.

Hatchling runs this file by itself, so it imports nothing of this repository.
"""

from __future__ import annotations

import tomllib
from pathlib import Path

TABLE = (
    Path(__file__).resolve().parents[1]
    / "django-litestream"
    / "src"
    / "django_litestream"
    / "artifacts.toml"
)


def distribution_version() -> str:
    """Return Litestream's version, and after it the number of the packaging's fixes."""
    table = tomllib.loads(TABLE.read_text(encoding="utf-8"))
    version: str = table["version"]
    return f"{version}.post{table['post']}" if table["post"] else version
