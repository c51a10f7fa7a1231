"""The executable and the VFS library, fetched where no package brings them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from .artifacts import Artifact, current_platform, find_artifact
from .binaries import (
    EXECUTABLE,
    LIBRARY,
    Kind,
    find_executable,
    find_extension,
    may_download,
)
from .conf import app_settings
from .download import download, from_directory
from .errors import ArtifactError, DownloadError, LitestreamError


def executable() -> Path:
    """Return the Litestream executable of this machine, downloaded if need be.

    Raises ``BinaryNotFound`` where there is none and none may be or could be
    downloaded.
    """
    return _found_or_installed(EXECUTABLE, find_executable)


def extension() -> Path:
    """Return the Litestream VFS library of this machine, downloaded if need be.

    Raises ``ExtensionNotFound`` where there is none and none may be or could be
    downloaded.
    """
    return _found_or_installed(LIBRARY, find_extension)


def install(
    kind: Kind,
    *,
    platform: str | None = None,
    directory: Path | None = None,
    source: str | None = None,
) -> Path:
    """Put the file for ``platform`` into ``directory``; return its path.

    Without them it is this machine's, for this environment or, where that cannot
    be written to, for this user. ``source`` is a directory, or the URL of a mirror
    of Litestream's release; by default it is the release itself. Raises
    ``ArtifactError`` and ``DownloadError``, the latter too where ``offline``
    forbids a download.
    """
    artifact = find_artifact(kind.distribution, platform or current_platform())
    if directory is not None:
        return _put(artifact, directory, source)
    try:
        return _put(artifact, kind.environment_directory, source)
    except ArtifactError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        return _put(artifact, kind.user_directory, source)


def _found_or_installed(kind: Kind, find: Callable[[], Path]) -> Path:
    try:
        return find()
    except kind.not_found as error:
        if not may_download(kind):
            raise
        try:
            return install(kind)
        except LitestreamError as reason:
            raise kind.not_found(f"{error} Downloading it failed: {reason}") from reason


def _put(artifact: Artifact, directory: Path, source: str | None) -> Path:
    destination = directory / artifact.file
    if source is not None and "://" not in source:
        from_directory(artifact, Path(source), destination)
    elif app_settings.offline:
        raise DownloadError(
            "Nothing may be downloaded (settings.LITESTREAM['offline'] or "
            f"LITESTREAM_OFFLINE): install the package {artifact.distribution}, or give "
            "a local directory with -from."
        )
    elif source is not None:
        download(artifact, destination, base_url=source)
    else:
        download(artifact, destination)
    return destination
