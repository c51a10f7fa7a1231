"""The Windows machines that a PE file runs on, as wheel tags.

Offsets are those of Microsoft's description of the format.
"""

from __future__ import annotations

import struct

from django_litestream.errors import ArtifactError

MAGIC = b"MZ"

_HEADER_POINTER = 0x3C
_SIGNATURE = b"PE\0\0"
_MACHINES = {0x8664: "win_amd64", 0xAA64: "win_arm64"}


def windows_tags(content: bytes) -> list[str]:
    """Return the platform tag that a PE file may be given.

    Raises ``ArtifactError`` where there is no tag for it, ``struct.error`` where it is
    cut short.
    """
    (header,) = struct.unpack_from("<I", content, _HEADER_POINTER)
    signature, machine = struct.unpack_from("<4sH", content, header)
    if signature != _SIGNATURE:
        raise ArtifactError("It is no program for Windows.")
    if machine not in _MACHINES:
        raise ArtifactError(f"It is for the machine {machine:#x} of Windows.")
    return [_MACHINES[machine]]
