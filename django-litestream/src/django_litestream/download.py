"""Litestream's files brought here, checked, and put in place whole or not at all."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx

from .archives import extract, write_bounded
from .artifacts import LITESTREAM_VERSION, Artifact
from .errors import ArtifactError, DownloadError
from .redaction import redact_url

RELEASE_URL = (
    f"https://github.com/benbjohnson/litestream/releases/download/v{LITESTREAM_VERSION}"
)

# Room for the licence and the readme that an archive holds beside the file.
_ALLOWANCE = 1 << 20
_LONGEST_TRANSFER = 600.0


class _TransientError(DownloadError):
    """A failure that another attempt may not meet."""


def download(
    artifact: Artifact,
    destination: Path,
    *,
    base_url: str = RELEASE_URL,
    timeout: float = 10.0,
    delays: Sequence[float] = (0.5, 1.0, 2.0),
) -> None:
    """Fetch the release asset from below ``base_url`` and put its file in place.

    ``timeout`` bounds connecting and each wait for data, in seconds; ``delays`` are
    the seconds to wait before each further attempt after a server error or a broken
    connection. Raises ``DownloadError`` where nothing came, ``ArtifactError`` where
    something else came or ``destination`` cannot be written.
    """
    url = f"{base_url.rstrip('/')}/{artifact.asset}"
    with _staged(artifact, destination) as staged:
        archive = staged.with_name(artifact.asset)
        _fetch(url, archive, _limit(artifact), timeout=timeout, delays=delays)
        extract(archive, artifact.member, staged, _limit(artifact))


def from_directory(artifact: Artifact, directory: Path, destination: Path) -> None:
    """Put in place the file that ``directory`` holds, bare or as the release asset.

    Raises ``DownloadError`` where it holds neither, ``ArtifactError`` where it is no
    directory, the file is another one or ``destination`` cannot be written.
    """
    if not directory.is_dir():
        raise ArtifactError(f"{directory} is not a directory.")
    asset, bare = directory / artifact.asset, directory / artifact.file
    if asset.is_file():
        from_archive(artifact, asset, artifact.member, destination)
    elif bare.is_file():
        artifact.verify(bare)
        with _staged(artifact, destination) as staged:
            shutil.copyfile(bare, staged)
    else:
        raise DownloadError(f"{directory} holds neither {asset.name} nor {bare.name}.")


def from_archive(
    artifact: Artifact, archive: Path, member: str, destination: Path
) -> None:
    """Put in place the one file called ``member`` of a ``.tar.gz``, zip or wheel.

    Raises ``ArtifactError`` where the archive does not hold it or ``destination``
    cannot be written.
    """
    with _staged(artifact, destination) as staged:
        extract(archive, member, staged, _limit(artifact))


def _limit(artifact: Artifact) -> int:
    return artifact.expected.size + _ALLOWANCE


@contextmanager
def _staged(artifact: Artifact, destination: Path) -> Iterator[Path]:
    """Yield where to write; verify what was written and move it to ``destination``."""
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(
            prefix=f".{destination.name}-", dir=destination.parent
        ) as scratch:
            staged = Path(scratch, artifact.file)
            yield staged
            artifact.verify(staged)
            staged.chmod(0o755)
            staged.replace(destination)
    except OSError as error:
        raise ArtifactError(f"{destination} cannot be written: {error}.") from error


def _fetch(
    url: str, target: Path, limit: int, *, timeout: float, delays: Sequence[float]
) -> None:
    with httpx.Client(
        follow_redirects=True,
        max_redirects=5,
        timeout=timeout,
        headers={"Accept-Encoding": "identity"},
    ) as client:
        for delay in delays:
            try:
                return _stream(client, url, target, limit)
            except _TransientError:
                time.sleep(delay)
        return _stream(client, url, target, limit)


def _stream(client: httpx.Client, url: str, target: Path, limit: int) -> None:
    shown = redact_url(url)
    try:
        with client.stream("GET", url) as response:
            if response.is_server_error:
                raise _TransientError(f"{shown}: HTTP {response.status_code}.")
            if not response.is_success:
                raise DownloadError(f"{shown}: HTTP {response.status_code}.")
            chunks = _in_time(response.iter_raw(), shown)
            write_bounded(chunks, target, limit, shown)
    except (httpx.UnsupportedProtocol, httpx.TooManyRedirects) as error:
        raise DownloadError(f"{shown}: {error}") from error
    except httpx.TransportError as error:
        raise _TransientError(f"{shown}: {error or type(error).__name__}.") from error


def _in_time(chunks: Iterable[bytes], source: str) -> Iterator[bytes]:
    deadline = time.monotonic() + _LONGEST_TRANSFER
    for chunk in chunks:
        if time.monotonic() > deadline:
            raise DownloadError(f"{source}: not whole after {_LONGEST_TRANSFER:.0f} s.")
        yield chunk
