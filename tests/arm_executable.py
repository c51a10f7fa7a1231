"""The smallest Linux executables for ARM, which print a line and end."""

from __future__ import annotations

import struct

from .crafted_files import go_build_info

ARM = 0x28
_ADDRESS = 0x10000
_HEADERS = 52 + 32
# `movw r0, #0`, which ARMv7 has and ARMv6 has not.
_NEEDS_ARMV7 = 0xE3000000


def arm_executable(version: int, line: str) -> bytes:
    """Return a static executable for ARMv6 or ARMv7 that prints ``line``."""
    text = f"{line}\n".encode()
    code = [
        *([_NEEDS_ARMV7] if version == 7 else []),
        0xE3A07004,  # mov r7, #4: write
        0xE3A00001,  # mov r0, #1
        0xE28F1010,  # add r1, pc, #16: what follows the code
        0xE3A02000 | len(text),  # mov r2, #length
        0xEF000000,  # svc #0
        0xE3A07001,  # mov r7, #1: exit
        0xE3A00000,  # mov r0, #0
        0xEF000000,  # svc #0
    ]
    content = struct.pack(f"<{len(code)}I", *code) + text
    # Go's is at a multiple of 16 bytes.
    content += bytes(-(_HEADERS + len(content)) % 16)
    content += go_build_info(GOARCH="arm", GOARM=str(version))
    size = _HEADERS + len(content)
    entry = _ADDRESS + _HEADERS
    return (
        b"\x7fELF\x01\x01\x01".ljust(16, b"\0")
        + struct.pack("<HHIIIIIHHHHHH", 2, ARM, 1, entry, 52, 0, 0x05000200, 52, 32, 1, 0, 0, 0)
        + struct.pack("<8I", 1, 0, _ADDRESS, _ADDRESS, size, size, 5, 0x1000)
        + content
    )  # fmt: skip
