"""``litestream-vfs-bin``: the library of Litestream's own release, and its entry."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

import litestream_vfs_bin
from django_litestream.artifacts import current_platform, find_artifact
from django_litestream.vfs import loading

# In a process of its own: Go's run-time starts with the library and never ends.
LOOK_UP = """\
import ctypes, sys
library, symbol = sys.argv[1:]
ctypes.CDLL(library)[symbol]
"""


def look_up(symbol: str) -> subprocess.CompletedProcess[str]:
    """Load the library and look ``symbol`` up in it."""
    return subprocess.run(
        [sys.executable, "-c", LOOK_UP, litestream_vfs_bin.extension_path(), symbol],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_the_library_is_the_released_one() -> None:
    path = litestream_vfs_bin.extension_path()
    find_artifact("litestream-vfs-bin", current_platform()).verify(path)


def test_the_library_has_the_entry_point() -> None:
    found = look_up(litestream_vfs_bin.ENTRYPOINT)
    assert (found.returncode, found.stderr) == (0, "")
    assert "sqlite3_no_such_init" in look_up("sqlite3_no_such_init").stderr


def test_the_app_calls_the_same_entry_point() -> None:
    """It names it again, as a library may have come without this package."""
    assert loading.ENTRYPOINT == litestream_vfs_bin.ENTRYPOINT


def test_a_lost_library_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The directory is replaced because the real one serves the other tests."""
    file = litestream_vfs_bin.extension_path().name
    monkeypatch.setattr(litestream_vfs_bin, "files", lambda package: tmp_path)
    message = (
        f"The Litestream VFS library is not at {tmp_path / file}: "
        "`pip install --force-reinstall litestream-vfs-bin` puts it back."
    )
    with pytest.raises(FileNotFoundError, match=f"^{re.escape(message)}$"):
        litestream_vfs_bin.extension_path()
