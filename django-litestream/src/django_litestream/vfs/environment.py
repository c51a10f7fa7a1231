"""The environment as the VFS sees it: that with which the process was started."""

from __future__ import annotations

import os
from pathlib import Path


def initial_environment() -> dict[str, str] | None:
    """Return the environment this process was started with.

    Go takes it from there and never sees what is put into ``os.environ`` later, by a
    loader of ``.env`` files for example. ``None`` where the system does not tell
    (all but Linux).
    """
    try:
        content = Path("/proc/self/environ").read_bytes()
    except OSError:
        return None
    entries = (os.fsdecode(entry).partition("=") for entry in content.split(b"\0"))
    return {name: value for name, equals, value in entries if equals}
