"""Paths of files as Litestream reads them in its configuration."""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from pathlib import Path

if sys.platform != "win32":
    import pwd


def expanded(path: str) -> Path:
    """Return a path made absolute as Litestream does it.

    Only a ``~`` of its own is a home: that of this user's account, whatever ``$HOME`` is.
    """
    if path == "~" or path.startswith(f"~{os.sep}"):
        path = f"{_home()}{path[1:]}"
    return Path(os.path.abspath(path))


def _home() -> str:
    if sys.platform != "win32":
        # The user of a container may have no account.
        with suppress(KeyError):
            return pwd.getpwuid(os.getuid()).pw_dir
    return os.path.expanduser("~")
