"""The build hook of the distributions that carry a file of a Litestream release."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "django-litestream" / "src")]

from build_hooks import wheel_tags  # noqa: E402
from build_hooks.sources import obtain  # noqa: E402
from django_litestream.artifacts import current_platform, find_artifact  # noqa: E402
from django_litestream.download import from_directory  # noqa: E402
from django_litestream.errors import LitestreamError  # noqa: E402

# Names the platform, as the table does, that a wheel is built for.
PLATFORM_VARIABLE = "LITESTREAM_PLATFORM"


class PlatformWheelHook(BuildHookInterface[Any]):
    """Puts the file into the wheel and the platform that it runs on into the tag."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        distribution = self.metadata.core.name
        if self.target_name == "sdist":
            self.app.abort(
                f"{distribution} has no sdist: it holds a file that Litestream built, "
                "so there is nothing to compile. Build a wheel."
            )
        try:
            platform = os.environ.get(PLATFORM_VARIABLE) or current_platform()
            artifact = find_artifact(distribution, platform)
            file = obtain(artifact)
            wheel_tags.check(artifact, file)
        except LitestreamError as error:
            self.app.abort(f"{distribution}: {error}")
        package = distribution.replace("-", "_")
        if version == "editable":
            beside_source = Path(self.root, "src", package, artifact.file)
            from_directory(artifact, file.parent, beside_source)
        else:
            build_data["pure_python"] = False
            build_data["tag"] = f"py3-none-{artifact.wheel_tag}"
            build_data["force_include"][str(file)] = f"{package}/{artifact.file}"
