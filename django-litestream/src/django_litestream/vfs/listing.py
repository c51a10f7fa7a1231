"""What a replica holds, as Litestream's own ``ltx`` command lists it.

It is given what the VFS has: the URL and the environment the process was started
with. A URL that has a secret in it stands in a configuration on standard input, as all
users of the machine can read the words of a command.
"""

from __future__ import annotations

import atexit
import json
import os
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .. import binaries
from ..errors import BinaryNotFound, ListingFailed
from ..log_lines import is_of_log
from ..reasons import explain
from ..redaction import redact, redact_url, url_secrets
from ..txids import parse_txid
from .environment import initial_environment

# The database that a configuration is of; it need not be there.
_DATABASE = "/replica"
_CONFIGURED = ("-config", "/dev/stdin", "-no-expand-env", _DATABASE)

# What this process has started and waits for.
_running: set[subprocess.Popen[str]] = set()


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
        has_secret = any(url_secrets(url)) and os.name == "posix"
        place = _CONFIGURED if has_secret else (url,)
        returncode, printed, said = _run(
            [executable, "ltx", "-json", "-level", level, *place],
            given=_configuration(url) if has_secret else "",
            timeout=timeout,
        )
    except (BinaryNotFound, OSError, ValueError):
        # What holds a NUL can be given to no command.
        raise ListingFailed from None
    except subprocess.TimeoutExpired:
        raise ListingFailed(
            f"the storage does not answer at {redact_url(url)}"
        ) from None
    if returncode:
        reason = explain(said.removeprefix("Error: "))
        raise ListingFailed(redact(reason, url_secrets(url)).rstrip("."))
    return read_listing(printed)


def _run(
    words: Sequence[str | Path], *, given: str, timeout: float
) -> tuple[int, str, str]:
    """Run Litestream; return its exit status and what it wrote to output and error.

    It ends with this process at the latest, which may come to its end while a thread
    of it waits here: some storages that are away are waited for without one.
    """
    with subprocess.Popen(
        words,
        env=initial_environment() or dict(os.environ),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="replace",
    ) as child:
        _running.add(child)
        try:
            printed, said = child.communicate(given, timeout)
        except BaseException:
            child.kill()
            raise
        finally:
            _running.discard(child)
        return child.returncode, printed, said


@atexit.register
def _end_running() -> None:
    for child in tuple(_running):
        child.kill()


if hasattr(os, "register_at_fork"):
    # They are the parent's.
    os.register_at_fork(after_in_child=_running.clear)


def _configuration(url: str) -> str:
    """Return the configuration of a database whose replica is at ``url``."""
    replica = {"url": url}
    scheme, _, rest = url.partition("://")
    login, at, place = rest.rpartition("@")
    if scheme == "nats" and at:
        # Of a NATS URL the executable leaves the login out, and the VFS does not.
        user, _, password = map(unquote, login.partition(":"))
        replica = {"url": f"nats://{place}", "username": user, "password": password}
    # JSON is YAML.
    return json.dumps({"dbs": [{"path": _DATABASE, "replica": replica}]})


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
