"""What a replica holds, as Litestream's own ``ltx`` command lists it.

It is given what the VFS has: the URL and the environment the process was started
with.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from datetime import datetime

from .. import binaries
from ..errors import BinaryNotFound
from ..reasons import explain
from ..redaction import redact, redact_url, url_secrets
from .environment import initial_environment


class ListingFailed(Exception):
    """A replica could not be listed; the message is the reason, empty if unknown."""


@dataclass(frozen=True, kw_only=True)
class LTXFile:
    """One file of a replica, which holds the transactions from the first TXID on."""

    min_txid: int
    max_txid: int
    written_at: datetime


def list_files(url: str, timeout: float) -> list[LTXFile]:
    """Return the files of every level of the replica at ``url``.

    Raises ``ListingFailed`` where that takes more than ``timeout`` seconds, fails, or
    there is no Litestream executable. Its message has no secret in it.
    """
    try:
        executable = binaries.find_executable()
        listed = subprocess.run(
            [executable, "ltx", "-json", "-level", "all", url],
            env=initial_environment() or dict(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (BinaryNotFound, OSError):
        raise ListingFailed from None
    except subprocess.TimeoutExpired:
        raise ListingFailed(
            f"the storage does not answer at {redact_url(url)}"
        ) from None
    if listed.returncode:
        reason = explain(listed.stderr.removeprefix("Error: "))
        raise ListingFailed(redact(reason, url_secrets(url)).rstrip("."))
    return [
        LTXFile(
            min_txid=int(file["min_txid"], 16),
            max_txid=int(file["max_txid"], 16),
            written_at=datetime.fromisoformat(file["timestamp"]),
        )
        for file in json.loads(listed.stdout or "null") or []
    ]
