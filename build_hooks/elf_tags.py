"""The Linux machines that an ELF file runs on, as wheel tags.

Offsets are those of ``elf.h``; the names and numbers of tags are those of PEP 600
(manylinux) and PEP 656 (musllinux).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from dataclasses import dataclass

from django_litestream.errors import ArtifactError

from .go_build_info import go_settings

MAGIC = b"\x7fELF"

_LITTLE_ENDIAN = 1
# By the machine and the bits of its pointers: x86-64 has an ABI with 32 of them too.
_MACHINES = {(0x3E, 64): "x86_64", (0xB7, 64): "aarch64", (0x28, 32): "arm"}
_LOAD, _DYNAMIC, _INTERPRETER = 1, 2, 3
_END, _NEEDED, _STRINGS = 0, 1, 5
_VERSIONS, _VERSIONS_COUNT = 0x6FFFFFFE, 0x6FFFFFFF
# What glibc consists of, and its loaders, and nothing else.
_GLIBC = re.compile(r"(libc|libdl|libm|libpthread|libresolv|librt)\.so\.\d|ld-linux.*")
_GLIBC_VERSION = re.compile(r"GLIBC_(\d+)\.(\d+)(?:\.\d+)?")
# Versions without a number, by the glibc that was the first to have them.
_GLIBC_FEATURES = {"GLIBC_ABI_DT_RELR": (2, 36)}
# What no tag goes below, and glibc has on each machine here.
_OLDEST = (2, 17)
_LONGEST_NAME = 256


@dataclass(frozen=True, kw_only=True)
class _Segment:
    kind: int
    offset: int
    address: int
    size: int


class _Elf:
    """The few parts of an ELF file that say what it needs."""

    def __init__(self, content: bytes) -> None:
        self.content = content
        self.is_64 = content[4] == 2
        if content[5] != _LITTLE_ENDIAN:
            raise ArtifactError(
                "It is for a big-endian machine, which has no tag here."
            )
        (self.machine,) = struct.unpack_from("<H", content, 18)
        self.segments = list(self._read_segments())

    def _read_segments(self) -> Iterator[_Segment]:
        if self.is_64:
            (table,) = struct.unpack_from("<Q", self.content, 32)
            size, count = struct.unpack_from("<HH", self.content, 54)
        else:
            (table,) = struct.unpack_from("<I", self.content, 28)
            size, count = struct.unpack_from("<HH", self.content, 42)
        for number in range(count):
            place = table + number * size
            if self.is_64:
                kind, _, offset, address, _, length = struct.unpack_from(
                    "<IIQQQQ", self.content, place
                )
            else:
                kind, offset, address, _, length = struct.unpack_from(
                    "<IIIII", self.content, place
                )
            yield _Segment(kind=kind, offset=offset, address=address, size=length)

    def dynamic(self) -> Iterator[tuple[int, int]]:
        """Yield the entries of the dynamic section; none in a static executable."""
        entry = "<qQ" if self.is_64 else "<iI"
        width = struct.calcsize(entry)
        for segment in self.segments:
            if segment.kind == _DYNAMIC:
                for place in range(0, segment.size - width + 1, width):
                    tag, value = struct.unpack_from(
                        entry, self.content, segment.offset + place
                    )
                    if tag == _END:
                        return
                    yield tag, value

    def offset_of(self, address: int) -> int:
        for segment in self.segments:
            if segment.kind == _LOAD and 0 <= address - segment.address < segment.size:
                return segment.offset + address - segment.address
        raise ArtifactError("It points to what it does not hold.")

    def text(self, offset: int) -> str:
        end = self.content.find(b"\0", offset, offset + _LONGEST_NAME)
        if end < 0:
            raise ArtifactError("It holds a name that does not end.")
        return self.content[offset:end].decode("ascii", "replace")


def linux_tags(content: bytes) -> list[str]:
    """Return the platform tags that an ELF file may be given.

    A static executable runs on any Linux; what is linked with glibc needs the highest
    version that one of its symbols asks for. Raises ``ArtifactError`` where there is
    no tag for it; ``struct.error``, ``IndexError`` and ``OverflowError`` where it is cut
    short or points beyond its end.
    """
    elf = _Elf(content)
    machine = _machine(elf)
    dynamic = list(elf.dynamic())
    strings = next((value for tag, value in dynamic if tag == _STRINGS), None)
    needed = [value for tag, value in dynamic if tag == _NEEDED]
    if not needed:
        if any(segment.kind == _INTERPRETER for segment in elf.segments):
            raise ArtifactError("It asks for a loader and says nothing of libraries.")
        if machine == "armv6l":
            # Neither manylinux nor musllinux knows this one.
            return ["linux_armv6l"]
        return [f"manylinux2014_{machine}", f"musllinux_1_1_{machine}"]
    if strings is None:
        raise ArtifactError("It needs libraries and names none.")
    names = elf.offset_of(strings)
    libraries = {elf.text(names + value) for value in needed}
    for name in sorted(libraries):
        if not _GLIBC.fullmatch(name):
            raise ArtifactError(f"It needs {name}, which no tag promises.")
    versions = dict(dynamic)
    if versions.get(_VERSIONS_COUNT, 0) > len(libraries):
        raise ArtifactError("It needs symbols of more libraries than it names.")
    major, minor = max([_OLDEST, *_glibc_versions(elf, versions, names)])
    return [f"manylinux_{major}_{minor}_{machine}"]


def _machine(elf: _Elf) -> str:
    bits = 64 if elf.is_64 else 32
    name = _MACHINES.get((elf.machine, bits))
    if name is None:
        raise ArtifactError(
            f"It is for the machine {elf.machine:#x} of ELF with {bits} bits."
        )
    if name != "arm":
        return name
    # Go leaves no other trace of which ARM it built for.
    version = go_settings(elf.content).get("GOARM", "").partition(",")[0]
    if version not in ("6", "7"):
        raise ArtifactError(f"It is for ARM, built with GOARM={version or 'nothing'}.")
    return f"armv{version}l"


def _glibc_versions(
    elf: _Elf, dynamic: dict[int, int], names: int
) -> Iterator[tuple[int, int]]:
    if _VERSIONS not in dynamic:
        return
    place = elf.offset_of(dynamic[_VERSIONS])
    for _ in range(dynamic.get(_VERSIONS_COUNT, 0)):
        _, count, _, first, following = struct.unpack_from("<HHIII", elf.content, place)
        name = place + first
        for _ in range(count):
            _, _, _, text, beside = struct.unpack_from("<IHHII", elf.content, name)
            yield _glibc_version(elf.text(names + text))
            name += beside
        place += following


def _glibc_version(name: str) -> tuple[int, int]:
    if found := _GLIBC_VERSION.fullmatch(name):
        return int(found[1]), int(found[2])
    if name in _GLIBC_FEATURES:
        return _GLIBC_FEATURES[name]
    raise ArtifactError(
        f"It needs symbols of the version {name}, which no tag promises."
    )
