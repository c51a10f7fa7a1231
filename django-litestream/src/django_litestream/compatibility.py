"""Whether a file of a release can run on this machine, by the tag of its wheel.

pip asks the same before it takes a wheel; a download has nobody else to ask.
"""

from __future__ import annotations

import os
import platform
import re
import sys

from .artifacts import Artifact

Version = tuple[int, int]

_MACOS = re.compile(r"macosx_(\d+)_(\d+)_")
_GLIBC = re.compile(r"manylinux_(\d+)_(\d+)_")
_MANYLINUX2014 = (2, 17)
# What a Python that was built for an old macOS says of every newer one.
_ANY_MACOS = (10, 16)


def obstacle(artifact: Artifact) -> str | None:
    """Return why this machine cannot run ``artifact``, ``None`` if it can.

    It is said in sentences: what is needed, what is here and what to do. The artifact
    must be for this machine's platform.
    """
    if artifact.file.endswith((".so", ".dylib")) and sys.maxsize <= 1 << 32:
        return (
            f"{artifact} needs a Python of 64 bits and this one has 32. Install a "
            "system or a Python of 64 bits."
        )
    if needed := _version(_MACOS, artifact):
        here = macos_version()
        if here is None or here >= needed:
            return None
        return (
            f"{artifact} needs macOS {_dotted(needed)} and this is {_dotted(here)}. "
            "Upgrade macOS."
        )
    # One that has both tags, or none, brings all it needs.
    if "manylinux" not in artifact.wheel_tag or "musllinux" in artifact.wheel_tag:
        return None
    needed = _version(_GLIBC, artifact) or _MANYLINUX2014
    here = glibc_version()
    if here is None:
        return (
            f"{artifact} needs glibc {_dotted(needed)} and this system has none (Alpine "
            "has musl instead). Use one that has, such as Debian or an image such as "
            "python:slim."
        )
    if here < needed:
        return (
            f"{artifact} needs glibc {_dotted(needed)} and this system has "
            f"{_dotted(here)}. Upgrade the system or the image."
        )
    return None


def glibc_version() -> Version | None:
    """Return the version of the system's glibc, ``None`` where there is another."""
    try:
        name, _, version = (os.confstr("CS_GNU_LIBC_VERSION") or "").partition(" ")
    except (AttributeError, OSError, ValueError):
        return None
    return _parsed(version) if name == "glibc" else None


def macos_version() -> Version | None:
    """Return the version of macOS, ``None`` where Python does not know it."""
    version = _parsed(platform.mac_ver()[0])
    return None if version == _ANY_MACOS else version


def _version(tag: re.Pattern[str], artifact: Artifact) -> Version | None:
    found = tag.search(artifact.wheel_tag)
    return (int(found[1]), int(found[2])) if found else None


def _parsed(version: str) -> Version | None:
    found = re.match(r"(\d+)(?:\.(\d+))?", version)
    return (int(found[1]), int(found[2] or 0)) if found else None


def _dotted(version: Version) -> str:
    return ".".join(map(str, version))
