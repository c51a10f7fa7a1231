"""Machines to install on: what Python says of each, and which files are right there."""

from __future__ import annotations

import struct
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What Python says of a machine, and the rows of the table that are right for it.

    ``libc`` is musl's or glibc's version; ``release`` is that of macOS.
    """

    name: str
    platform: str
    libc: str = ""
    release: str = ""
    bits: int = 64
    executable: str | None
    library: str | None

    @property
    def right(self) -> tuple[str | None, str | None]:
        return self.executable, self.library

    def described(self, scratch: Path, python: str | Path) -> dict[str, Any]:
        """What ``pretended_machine`` takes; ``python`` is what really runs."""
        system = self.platform.partition("-")[0]
        return {
            "system": {"linux": "Linux", "macosx": "Darwin", "win": "Windows"}[system],
            "platform_name": self.platform,
            "bits": self.bits,
            "release": self.release,
            "libc": self.libc if self.libc.startswith("glibc") else None,
            "executable": str(self._executable(scratch / self.name) or python),
        }

    def _executable(self, directory: Path) -> Path | None:
        """A file with the headers of that machine's Python, where they matter."""
        loader = None
        if self.libc.startswith("musl"):
            loader = directory / "ld-musl.so.1"
        elif self.bits == 64:
            return None
        directory.mkdir()
        if loader:
            says = self.libc.replace(" ", " libc\nVersion ")
            loader.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
            loader.chmod(0o755)
        file = directory / "python"
        machine = self.platform.rpartition("-")[2]
        file.write_bytes(elf(machine, self.bits, str(loader or "")))
        return file


def elf(machine: str, bits: int, loader: str) -> bytes:
    """The headers of an executable that the ``loader`` starts."""
    if bits == 32:
        # An ARM one, of the hard-float ABI.
        number, flags = 40, 0x05000400
        form, program, sizes = "<HHIIIIIHHH", "<IIIIIIII", (52, 32)
    else:
        number, flags = {"x86_64": 62, "aarch64": 183}.get(machine, 0), 0
        form, program, sizes = "<HHIQQQIHHH", "<IIQQQQQQ", (64, 56)
    head, entry = sizes
    text = loader.encode() + b"\0"
    identity = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    header = struct.pack(form, 2, number, 1, 0, head, 0, flags, head, entry, 1)
    where = (head + entry, 0, 0, len(text), len(text))
    if bits == 32:
        interpreter = struct.pack(program, 3, *where, 0, 0)
    else:
        interpreter = struct.pack(program, 3, 0, *where, 0)
    return (identity + header).ljust(head, b"\0") + interpreter + text


def linux_machine(name: str, arch: str, libc: str, *right: str | None) -> Machine:
    executable, library = right
    return Machine(
        name=name,
        platform=f"linux-{arch}",
        libc=libc,
        bits=32 if arch.startswith("arm") else 64,
        executable=executable,
        library=library,
    )


MACHINES = [
    linux_machine("CentOS 7", "x86_64", "glibc 2.17", "linux-x86_64", None),
    linux_machine("Debian 11", "x86_64", "glibc 2.31", "linux-x86_64", None),
    linux_machine("RHEL 9", "x86_64", "glibc 2.34", "linux-x86_64", "linux-x86_64"),
    linux_machine("Graviton", "aarch64", "glibc 2.34", "linux-arm64", "linux-arm64"),
    linux_machine("Alpine", "x86_64", "musl 1.2", "linux-x86_64", None),
    linux_machine("Alpine arm64", "aarch64", "musl 1.2", "linux-arm64", None),
    linux_machine("Pi 64-bit", "aarch64", "glibc 2.36", "linux-arm64", "linux-arm64"),
    linux_machine("Pi 32-bit", "armv7l", "glibc 2.36", "linux-armv7", None),
    linux_machine("Pi Zero", "armv6l", "glibc 2.36", "linux-armv6", None),
    linux_machine("Alpine armv7", "armv7l", "musl 1.2", "linux-armv7", None),
    # What Raspberry Pi OS of 32 bits is by default on a Pi 4.
    Machine(
        name="Pi 32-bit on a kernel of 64",
        platform="linux-aarch64",
        libc="glibc 2.36",
        bits=32,
        executable="linux-armv7",
        library=None,
    ),
    linux_machine("POWER", "ppc64le", "glibc 2.36", None, None),
    *(
        Machine(
            name=f"macOS {release} {arch}",
            platform=f"macosx-11.0-{arch}",
            release=f"{release}.1",
            executable=f"darwin-{arch}" if release != "11" else None,
            library=f"darwin-{arch}",
        )
        for release, arch in product(("11", "12", "15"), ("x86_64", "arm64"))
    ),
    Machine(
        name="Windows",
        platform="win-amd64",
        executable="windows-x86_64",
        library=None,
    ),
    Machine(
        name="Windows arm64",
        platform="win-arm64",
        executable="windows-arm64",
        library=None,
    ),
]
