"""The files that this process has open."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import suppress

if sys.platform != "win32":
    import resource

# How many files a process needs that opens one after the other.
_SPARE = 64
_DIRECTORY = "/dev/fd"

# What a shell writes for ``<(...)``.
_NAME = re.compile(r"(?:/dev|/proc/self)/fd/([0-9]+)")


def open_descriptors() -> Iterator[int]:
    """Yield the descriptors of this process; none where the system lists none."""
    if os.path.isdir(_DIRECTORY):
        # That of the listing itself is among them, and is closed by now.
        yield from map(int, os.listdir(_DIRECTORY))


def make_room() -> None:
    """Let this process open some more files, if the system lets it.

    Litestream raises the limit for itself, and not for what it is started by.
    """
    if sys.platform == "win32":
        return
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft - len(list(open_descriptors())) < _SPARE and soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def descriptors_of(status: os.stat_result) -> Iterator[int]:
    """Yield those of a file, whose status is known."""
    for descriptor in open_descriptors():
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), status):
                yield descriptor


def named_by(words: Sequence[str]) -> Iterator[int]:
    """Yield the descriptors of this process that are open and named by words."""
    for found in filter(None, map(_NAME.fullmatch, words)):
        descriptor = int(found[1])
        with suppress(OSError):
            os.fstat(descriptor)
            yield descriptor
