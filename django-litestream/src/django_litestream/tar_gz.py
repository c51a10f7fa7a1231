"""A ``.tar.gz`` that is not trusted, read once from its beginning to its end.

``gzip`` reads millions of empty members for minutes and ``tarfile`` any header into
memory, so neither is used: what is read here is bounded by the caller's ``limit``,
and of an entry only what a release needs is looked at, its name, kind and size.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import IO

from .errors import ArtifactError

_CHUNK = 1 << 16
_BLOCK = 512
_REGULAR = b"0\0"
_HEADER_ONLY = b"123456"
_GZIP = 31


class DamagedTarGz(Exception):
    """The bytes are no ``.tar.gz``, or not the whole of one."""


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A file of the archive; its ``content`` is there until the next one is read."""

    name: str
    content: Iterator[bytes]


def files(archive: IO[bytes], limit: int, source: str) -> Iterator[Entry]:
    """Yield the regular files of ``archive``, in their order.

    Raises ``DamagedTarGz``, and ``ArtifactError``, which names the ``source``, once
    the archive unpacks to more than ``limit`` bytes.
    """
    unpacked = _Unpacked(archive, limit, source)
    while any(header := b"".join(unpacked.take(_BLOCK))):
        size = _size(header)
        content = unpacked.take(size)
        if header[156] in _REGULAR:
            name = header[:100].partition(b"\0")[0]
            yield Entry(name=name.decode(errors="replace"), content=content)
        for _ in content:
            pass
        for _ in unpacked.take(-size % _BLOCK):
            pass


def _size(header: bytes) -> int:
    # The checksum is counted with spaces in its own place.
    blank = header[:148] + b" " * 8 + header[156:]
    if _number(header[148:156]) != sum(blank):
        raise DamagedTarGz("a header's checksum is wrong")
    return 0 if header[156] in _HEADER_ONLY else _number(header[124:136])


def _number(octal: bytes) -> int:
    digits = octal.strip(b" \0") or b"0"
    if digits.strip(b"01234567"):
        raise DamagedTarGz("a header holds no number where one must be")
    return int(digits, 8)


class _Unpacked:
    """The bytes of a gzip file of one member, no more than ``limit``."""

    def __init__(self, archive: IO[bytes], limit: int, source: str) -> None:
        self._archive = archive
        self._limit = limit
        self._source = source
        self._inflater = zlib.decompressobj(wbits=_GZIP)
        self._left = limit
        self._buffer = b""

    def take(self, count: int) -> Iterator[bytes]:
        """Yield the next ``count`` bytes in pieces."""
        while count > 0:
            piece, self._buffer = self._buffer[:count], self._buffer[count:]
            count -= len(piece)
            if piece:
                yield piece
            else:
                self._buffer = self._inflate()

    def _inflate(self) -> bytes:
        packed = self._inflater.unconsumed_tail or self._archive.read(_CHUNK)
        if self._inflater.eof or not packed:
            raise DamagedTarGz("it ends too early")
        try:
            piece = self._inflater.decompress(packed, _CHUNK)
        except zlib.error as error:
            raise DamagedTarGz(str(error)) from error
        self._left -= len(piece)
        if self._left < 0:
            raise ArtifactError(f"{self._source} holds more than {self._limit} bytes.")
        return piece
