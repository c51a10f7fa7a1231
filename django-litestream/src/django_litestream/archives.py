"""One file out of an archive that is not trusted."""

from __future__ import annotations

import gzip
import tarfile
import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import IO, cast

from .errors import ArtifactError

_CHUNK = 1 << 16


def extract(archive: Path, member: str, target: Path, limit: int) -> None:
    """Write the one file called ``member`` of a ``.tar.gz``, zip or wheel to ``target``.

    The directories it has inside the archive do not count. Raises ``ArtifactError``
    where there is not exactly one, the archive is damaged or unpacks to more than
    ``limit`` bytes, and ``OSError`` where ``target`` cannot be written.
    """
    unpack = _extract_tar if archive.name.endswith(".tar.gz") else _extract_zip
    try:
        unpack(archive, member, target, limit)
    except (
        EOFError,
        gzip.BadGzipFile,
        tarfile.TarError,
        zipfile.BadZipFile,
        zlib.error,
        RuntimeError,  # zipfile's answer to an encrypted or unknown compression
    ) as error:
        raise ArtifactError(f"{archive.name} is damaged: {error}.") from error


def write_bounded(
    chunks: Iterable[bytes], target: Path, limit: int, source: str
) -> None:
    """Write ``chunks`` to ``target``.

    Raises ``ArtifactError``, which names the ``source``, once they exceed ``limit``
    bytes.
    """
    written = 0
    with target.open("wb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > limit:
                raise ArtifactError(f"{source} holds more than {limit} bytes.")
            file.write(chunk)


def _extract_zip(archive: Path, member: str, target: Path, limit: int) -> None:
    with zipfile.ZipFile(archive) as package:
        names = [name for name in package.namelist() if _is_called(member, name)]
        _require_one(names, member, archive)
        with package.open(names[0]) as file:
            write_bounded(_chunks(file), target, limit, archive.name)


def _extract_tar(archive: Path, member: str, target: Path, limit: int) -> None:
    # tarfile reads over what it skips without a bound, so unpack with one first.
    plain = target.with_name(f"{target.name}.tar")
    with gzip.open(archive) as file:
        write_bounded(_chunks(file), plain, limit, archive.name)
    with tarfile.open(plain, "r:") as package:
        files = [
            entry
            for entry in package
            if entry.isfile() and _is_called(member, entry.name)
        ]
        _require_one(files, member, archive)
        with cast("IO[bytes]", package.extractfile(files[0])) as file:
            write_bounded(_chunks(file), target, limit, archive.name)


def _chunks(file: IO[bytes] | gzip.GzipFile) -> Iterator[bytes]:
    while chunk := file.read(_CHUNK):
        yield chunk


def _is_called(member: str, name: str) -> bool:
    return PurePosixPath(name).name == member


def _require_one(
    found: list[str] | list[tarfile.TarInfo], member: str, archive: Path
) -> None:
    if len(found) != 1:
        raise ArtifactError(
            f"{archive.name} holds {len(found)} files named {member} instead of one."
        )
