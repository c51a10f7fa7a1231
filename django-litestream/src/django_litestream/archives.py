"""One file out of an archive that is not trusted."""

from __future__ import annotations

import io
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from . import tar_gz
from .errors import ArtifactError
from .writing import chunks_of, write_bounded

# The directory of a zip is read at once; this is one of 20,000 members.
_MOST_AT_ONCE = 1 << 20
# zipfile inflates these piece by piece and has no bound for the others.
_BOUNDED_COMPRESSIONS = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})


def extract(
    archive: Path, member: str, target: Path, limit: int, *, source: str | None = None
) -> None:
    """Write the one file called ``member`` of a ``.tar.gz``, zip or wheel to ``target``.

    The directories it has inside the archive do not count. ``source`` is what errors
    call the archive, by default its name. Raises ``ArtifactError``
    where there is not exactly one, the archive cannot be read, is damaged or unpacks to
    more than ``limit`` bytes, and ``OSError`` where ``target`` cannot be written.
    """
    source = source or archive.name
    unpack = _from_tar_gz if archive.name.endswith(".tar.gz") else _from_zip
    try:
        file = _Archive(io.FileIO(archive))
    except OSError as error:
        raise ArtifactError(f"{source} cannot be read: {error.strerror}.") from error
    with file:
        found = unpack(file, member, target, limit, source)
    if found != 1:
        raise ArtifactError(
            f"{source} holds {found} files named {member} instead of one."
        )


class _Archive(io.BufferedReader):
    """An archive's file, of which no reader gets more at once than it should need."""

    def read(self, size: int | None = -1, /) -> bytes:
        sane = size is not None and 0 <= size <= _MOST_AT_ONCE
        piece = super().read(size if sane else _MOST_AT_ONCE + 1)
        if len(piece) > _MOST_AT_ONCE:
            raise ValueError(f"a part of it has more than {_MOST_AT_ONCE} bytes")
        return piece


def _from_tar_gz(
    file: _Archive, member: str, target: Path, limit: int, source: str
) -> int:
    """Write each file called ``member``; return how many there are."""
    found = 0
    try:
        for entry in tar_gz.files(file, limit, source):
            if _is_called(member, entry.name):
                found += 1
                write_bounded(entry.content, target, limit, source)
    except tar_gz.DamagedTarGz as error:
        raise _damaged(source, error) from error
    return found


def _from_zip(
    file: _Archive, member: str, target: Path, limit: int, source: str
) -> int:
    """Write the first file called ``member``; return how many there are."""
    with _damage_of(source):
        package = zipfile.ZipFile(file)
        found = [
            entry
            for entry in package.infolist()
            if _is_called(member, entry.filename) and not entry.is_dir()
        ]
    for entry in found[:1]:
        chunks = _chunks_of_member(package, entry, source)
        write_bounded(chunks, target, limit, source)
    return len(found)


def _chunks_of_member(
    package: zipfile.ZipFile, entry: zipfile.ZipInfo, source: str
) -> Iterator[bytes]:
    with _damage_of(source):
        if entry.compress_type not in _BOUNDED_COMPRESSIONS:
            raise ValueError(f"{entry.filename} is compressed in an unusual way")
        with package.open(entry) as file:
            yield from chunks_of(file)


@contextmanager
def _damage_of(source: str) -> Iterator[None]:
    """Say of what zipfile raises that the archive is damaged."""
    try:
        yield
    except (
        EOFError,
        OSError,
        OverflowError,
        RuntimeError,  # an encrypted member, or something zipfile does not know
        ValueError,
        zipfile.BadZipFile,
        zlib.error,
    ) as error:
        raise _damaged(source, error) from error


def _damaged(source: str, error: Exception) -> ArtifactError:
    return ArtifactError(
        f"{source} is damaged: {error or 'it ends too early'}. Take it from elsewhere."
    )


def _is_called(member: str, name: str) -> bool:
    return PurePosixPath(name).name == member
