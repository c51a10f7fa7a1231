"""The Macs that a Mach-O file runs on, as wheel tags; offsets are those of ``loader.h``."""

from __future__ import annotations

import struct

from django_litestream.errors import ArtifactError

MAGIC = b"\xcf\xfa\xed\xfe"

_CPUS = {0x0100_0007: "x86_64", 0x0100_000C: "arm64"}
_HEADER = 32
_VERSION_MIN_MACOSX, _BUILD_VERSION = 0x24, 0x32
_MACOS = 1


def macos_tags(content: bytes) -> list[str]:
    """Return the platform tag that a Mach-O file for one CPU may be given.

    Raises ``ArtifactError`` where there is no tag for it, ``struct.error`` where it is
    cut short.
    """
    cpu, _, _, commands = struct.unpack_from("<IIII", content, 4)
    if cpu not in _CPUS:
        raise ArtifactError(f"It is for the CPU {cpu:#x} of Mach-O.")
    major, minor = _oldest_macos(content, commands)
    if major > 10 and minor:
        # Tags know no minor version any more, so the next that is sure to do.
        major, minor = major + 1, 0
    return [f"macosx_{major}_{minor}_{_CPUS[cpu]}"]


def _oldest_macos(content: bytes, commands: int) -> tuple[int, int]:
    place = _HEADER
    for _ in range(commands):
        command, size, first, second = struct.unpack_from("<IIII", content, place)
        if command == _VERSION_MIN_MACOSX:
            return _version(first)
        if command == _BUILD_VERSION and first == _MACOS:
            return _version(second)
        if not size:
            break
        place += size
    raise ArtifactError("It does not say which macOS it needs.")


def _version(packed: int) -> tuple[int, int]:
    return packed >> 16, packed >> 8 & 0xFF
