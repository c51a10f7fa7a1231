"""The smallest files that look like those of a release; none of them runs."""

from __future__ import annotations

import struct

_MACHINES = {"x86_64": 0x3E, "arm64": 0xB7}
_CPUS = {"x86_64": 0x0100_0007, "arm64": 0x0100_000C}
_WINDOWS = {"x86_64": 0x8664, "arm64": 0xAA64}

_MARK = b"\x30\x77\xaf\x0c\x92\x74\x08\x02\x41\xe1\xc1\x07\xe6\xd6\x18\xe6"


def go_build_info(**settings: str) -> bytes:
    """Return what Go writes into an executable that was built with the settings."""
    lines = "".join(f"build\t{name}={value}\n" for name, value in settings.items())
    about = _MARK + f"path\tcommand\n{lines}".encode() + _MARK[::-1]
    header = b"\xff Go buildinf:" + bytes([4, 2])
    return header.ljust(32, b"\0") + _string(b"go1.26.1") + _string(about)


def _string(text: bytes) -> bytes:
    length, varint = len(text), bytearray()
    while length >= 0x80:
        varint.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes([*varint, length]) + text


def _elf(machine: int, segments: list[tuple[int, int, int]], content: bytes) -> bytes:
    """Return a 64-bit ELF file of segments ``(kind, offset, size)`` mapped at 0."""
    header = struct.pack(
        "<HHIQQQIHHHHHH", 3, machine, 1, 0, 64, 0, 0, 64, 56, len(segments), 0, 0, 0
    )
    table = b"".join(
        struct.pack("<IIQQQQQQ", kind, 5, offset, offset, offset, size, size, 8)
        for kind, offset, size in segments
    )
    return b"\x7fELF\x02\x01\x01".ljust(16, b"\0") + header + table + content


def static_program(machine: str) -> bytes:
    """Return what looks like a static program for ``x86_64`` or ``arm64``."""
    return _elf(_MACHINES[machine], [(1, 0, 200)], bytes(80))


def linked(
    machine: str, *, libraries: tuple[str, ...], versions: tuple[str, ...]
) -> bytes:
    """Return what looks like a library that needs others, and these of their symbols."""
    names = b"\0" + b"".join(f"{name}\0".encode() for name in (*libraries, *versions))
    places = {
        name: names.index(f"\0{name}\0".encode()) + 1
        for name in (*libraries, *versions)
    }
    start = 64 + 2 * 56
    needed = struct.pack("<HHIII", 1, len(versions), places[libraries[0]], 16, 0)
    for number, version in enumerate(versions, start=1):
        beside = 16 if number < len(versions) else 0
        needed += struct.pack("<IHHII", 0, 0, number, places[version], beside)
    entries = [
        *((1, places[library]) for library in libraries),
        (5, start),
        (0x6FFFFFFE, start + len(names)),
        (0x6FFFFFFF, 1),
        (0, 0),
    ]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    content = names + needed + dynamic
    return _elf(
        _MACHINES[machine],
        [
            (1, 0, start + len(content)),
            (2, start + len(names) + len(needed), len(dynamic)),
        ],
        content,
    )


def mach_o(machine: str, major: int, minor: int = 0) -> bytes:
    """Return what looks like a program for macOS from that version on."""
    header = struct.pack("<8I", 0xFEEDFACF, _CPUS[machine], 0, 2, 2, 48, 0, 0)
    other = struct.pack("<IIQQ", 0x1B, 24, 0, 0)
    version = struct.pack("<6I", 0x32, 24, 1, major << 16 | minor << 8, 0, 0)
    return header + other + version


def windows_program(machine: str) -> bytes:
    """Return what looks like a program for Windows."""
    header = b"MZ".ljust(0x3C, b"\0") + struct.pack("<I", 0x40)
    return header + b"PE\0\0" + struct.pack("<H", _WINDOWS[machine]) + bytes(64)
