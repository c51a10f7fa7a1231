"""Litestream's files brought here, checked, and put in place whole or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TextIO

from .archives import extract
from .artifacts import LITESTREAM_VERSION, Artifact
from .errors import ArtifactError, DownloadError
from .placement import is_in_place, placing, put
from .progress import on_terminal
from .redaction import redact_url
from .transfer import fetch
from .writing import chunks_of, write_bounded

RELEASE_URL = (
    f"https://github.com/benbjohnson/litestream/releases/download/v{LITESTREAM_VERSION}"
)

# Room for the licence and the readme that an archive holds beside the file.
_ALLOWANCE = 1 << 20
_LONGEST_TRANSFER = 600.0
_STAGED = "staged"


def download(
    artifact: Artifact,
    destination: Path,
    *,
    base_url: str = RELEASE_URL,
    timeout: float = 10.0,
    longest: float = _LONGEST_TRANSFER,
    delays: Sequence[float] = (0.5, 1.0, 2.0),
    progress: TextIO | None = None,
) -> None:
    """Fetch the release asset from below ``base_url`` and put its file in place.

    Of many processes one fetches and the others find the file. ``timeout`` bounds
    connecting and each wait for data, ``longest`` all of the transfer, in seconds;
    ``delays`` are the seconds to wait before each further attempt after a server error
    or a broken connection. ``progress`` is told of where it is a terminal. Raises
    ``DownloadError`` where nothing came, ``ArtifactError`` where something else came or
    ``destination`` cannot be written.
    """
    base, question_mark, query = base_url.partition("?")
    url = f"{base.rstrip('/')}/{artifact.asset}{question_mark}{query}"
    otherwise = (
        "If this machine has no way out, install the package (`pip install --no-index "
        f"--find-links DIRECTORY {artifact.distribution}`) or give a directory with "
        "-from."
    )
    limit = _limit(artifact)
    with placing(destination, patience=longest) as scratch:
        if is_in_place(artifact, destination):
            return
        archive = scratch / artifact.asset
        with on_terminal(artifact.asset, progress) as report:
            fetch(
                url,
                archive,
                limit,
                timeout=timeout,
                longest=longest,
                delays=delays,
                report=report,
                unreachable=otherwise,
            )
        staged, source = scratch / _STAGED, redact_url(url)
        extract(archive, artifact.member, staged, limit, source=source)
        put(artifact, staged, destination, source=source)


def from_directory(artifact: Artifact, directory: Path, destination: Path) -> None:
    """Put in place the file that ``directory`` holds, bare or as the release asset.

    Raises ``DownloadError`` where it holds neither, ``ArtifactError`` where it is no
    directory, the file is another one or cannot be read, or ``destination`` cannot be
    written.
    """
    if not directory.is_dir():
        raise ArtifactError(
            f"{directory} is not a directory: give the one that holds {artifact.asset}."
        )
    asset, bare = directory / artifact.asset, directory / artifact.file
    if asset.is_file():
        from_archive(artifact, asset, artifact.member, destination)
    elif bare.is_file():
        try:
            file = bare.open("rb")
        except OSError as error:
            raise ArtifactError(f"{bare} cannot be read: {error.strerror}.") from error
        with file, placing(destination, patience=_LONGEST_TRANSFER) as scratch:
            staged, source = scratch / _STAGED, str(bare)
            write_bounded(chunks_of(file), staged, _limit(artifact), source)
            put(artifact, staged, destination, source=source)
    else:
        raise DownloadError(
            f"{directory} holds neither {asset.name} nor {bare.name}: put one of them "
            f"there, such as {RELEASE_URL}/{asset.name}."
        )


def from_archive(
    artifact: Artifact, archive: Path, member: str, destination: Path
) -> None:
    """Put in place the one file called ``member`` of a ``.tar.gz``, zip or wheel.

    Raises ``ArtifactError`` where the archive does not hold it or ``destination``
    cannot be written.
    """
    with placing(destination, patience=_LONGEST_TRANSFER) as scratch:
        staged, source = scratch / _STAGED, str(archive)
        extract(archive, member, staged, _limit(artifact), source=source)
        put(artifact, staged, destination, source=source)


def _limit(artifact: Artifact) -> int:
    return artifact.expected.size + _ALLOWANCE
