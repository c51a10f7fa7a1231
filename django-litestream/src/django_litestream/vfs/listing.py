"""What a replica holds, as Litestream's own ``ltx`` command lists it.

It is given what the VFS has: the URL and the environment the process was started
with.
"""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from .. import binaries
from ..errors import BinaryNotFound, ListingFailed
from ..log_lines import is_of_log
from ..reasons import explain
from ..redaction import redact, redact_url, url_secrets
from ..txids import parse_txid
from .environment import initial_environment


@dataclass(frozen=True, kw_only=True)
class LTXFile:
    """One file of a replica, which holds the transactions from the first TXID on."""

    min_txid: int
    max_txid: int
    written_at: datetime


def list_files(url: str, timeout: float, *, level: str = "all") -> list[LTXFile]:
    """Return the files of a ``level`` of the replica at ``url``, of every one by default.

    Raises ``ListingFailed`` where that takes more than ``timeout`` seconds, fails, or
    there is no Litestream executable. Its message has no secret in it.
    """
    try:
        executable = binaries.find_executable()
        listed = subprocess.run(
            [executable, "ltx", "-json", "-level", level, url],
            env=initial_environment() or dict(os.environ),
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout,
            check=False,
        )
    except (BinaryNotFound, OSError, ValueError):
        # What holds a NUL can be given to no command.
        raise ListingFailed from None
    except subprocess.TimeoutExpired:
        raise ListingFailed(
            f"the storage does not answer at {redact_url(url)}"
        ) from None
    if listed.returncode:
        reason = explain(listed.stderr.removeprefix("Error: "))
        raise ListingFailed(redact(reason, url_secrets(url)).rstrip("."))
    return read_listing(listed.stdout)


def read_listing(printed: str) -> list[LTXFile]:
    """Return the files that ``ltx -json`` has ``printed``.

    Lines of Litestream's log are left out. Raises ``ListingFailed`` where the rest is
    anything else.
    """
    lines = printed.splitlines(keepends=True)
    answer = "".join(line for line in lines if not is_of_log(line))
    try:
        return _files(json.loads(answer or "null"))
    except (ValueError, OverflowError, RecursionError) as error:
        raise ListingFailed(
            "what `litestream ltx -json` printed is no list of files: see that it is "
            "Litestream 0.5"
        ) from error


def _files(listed: Any) -> list[LTXFile]:
    match listed:
        case None:
            return []
        case list():
            return [_file(entry) for entry in listed]
    raise ValueError("This is no list.")


def _file(entry: Any) -> LTXFile:
    match entry:
        case {"min_txid": str(first), "max_txid": str(last), "timestamp": str(time)}:
            return LTXFile(
                min_txid=parse_txid(first),
                max_txid=parse_txid(last),
                written_at=_moment(time),
            )
    raise ValueError("This is no file.")


def _moment(text: str) -> datetime:
    moment = datetime.fromisoformat(text)
    if moment.tzinfo is None:
        raise ValueError("Litestream tells the time zone.")
    return moment.astimezone(UTC)
