"""A file written from a source that does not say, or lies about, its length."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO

from .errors import ArtifactError

CHUNK = 1 << 16


def write_bounded(
    chunks: Iterable[bytes], target: Path, limit: int, source: str
) -> None:
    """Write ``chunks`` to ``target``.

    Raises ``ArtifactError``, which names the ``source``, once they exceed ``limit``
    bytes, and ``OSError`` where ``target`` cannot be written.
    """
    written = 0
    with target.open("wb") as file:
        for chunk in chunks:
            written += len(chunk)
            if written > limit:
                raise ArtifactError(f"{source} holds more than {limit} bytes.")
            file.write(chunk)


def chunks_of(file: IO[bytes]) -> Iterator[bytes]:
    """Yield what ``file`` holds from where it stands to its end, in pieces."""
    while chunk := file.read(CHUNK):
        yield chunk
