"""Has a process take its machine for another: what is copied as ``sitecustomize``.

Only what Python says of the machine is pretended. What follows is for pip and uv to
find out.
"""

from __future__ import annotations

import json
import os
import platform
import struct
import sys
import sysconfig
from typing import Any


def pretend(
    *,
    system: str,
    platform_name: str,
    bits: int,
    release: str,
    libc: str | None,
    executable: str,
) -> None:
    """Answer as Python does on a machine of that ``platform_name``.

    ``release`` is that of macOS, ``libc`` what glibc says of itself, and the headers
    of the file ``executable`` say what Python is linked to.
    """
    machine = platform_name.rpartition("-")[2]
    size = struct.calcsize

    def calcsize(format: str | bytes) -> int:
        return bits // 8 if format == "P" else size(format)

    answers: list[tuple[Any, str, Any]] = [
        (os, "confstr", lambda name: libc),
        (platform, "mac_ver", lambda: (release, ("", "", ""), machine)),
        (platform, "machine", lambda: machine),
        (platform, "system", lambda: system),
        (struct, "calcsize", calcsize),
        (sys, "executable", executable),
        (sysconfig, "get_platform", lambda: platform_name),
    ]
    for module, name, answer in answers:
        setattr(module, name, answer)
    # It would ask the libc of this process, and measures the size of a pointer.
    sys.modules["ctypes"] = None  # type: ignore[assignment]


if machine := os.environ.get("PRETENDED_MACHINE"):
    pretend(**json.loads(machine))
