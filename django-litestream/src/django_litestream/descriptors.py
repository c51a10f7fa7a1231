"""The files that this process has open."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

_DIRECTORY = "/dev/fd"


def open_descriptors() -> Iterator[int]:
    """Yield the descriptors of this process; none where the system lists none."""
    if os.path.isdir(_DIRECTORY):
        # That of the listing itself is among them, and is closed by now.
        yield from map(int, os.listdir(_DIRECTORY))


def descriptors_of(status: os.stat_result) -> Iterator[int]:
    """Yield those of a file, whose status is known."""
    for descriptor in open_descriptors():
        with suppress(OSError):
            if os.path.samestat(os.fstat(descriptor), status):
                yield descriptor
