"""Starting the daemon: what Litestream itself leaves to chance."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import threading
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from . import process
from .configuration import Configuration
from .control import Daemon
from .errors import ConfigurationError, DaemonError, DaemonRunning
from .first_sync import sync_first
from .invocation import Litestream, Show

# The module that is run in front of what -exec starts.
_FIRST_SYNC = f"{__package__}.first_sync"


def check(configuration: Configuration) -> None:
    """Refuse to start a daemon that cannot do its work.

    Litestream would log it for ever. Raises ``DaemonRunning`` where another daemon
    answers on the control socket: two of them destroy each other's replica. Raises
    ``ConfigurationError`` where a ``file`` replica cannot be written to.
    """
    if configuration.socket:
        _refuse_second(configuration.socket)
    for entry in configuration.mapping["dbs"]:
        for replica in (entry.get("replica"), *(entry.get("replicas") or ())):
            if replica and (path := _file_replica_path(replica)):
                _try_writing(path, entry.get("path") or entry["dir"])


def become(litestream: Litestream, arguments: Sequence[str]) -> NoReturn:
    """Replace this process by the daemon (POSIX only)."""
    arguments, socket = _with_first_sync(litestream.configuration, arguments)
    if socket:
        running = partial(process.is_running, os.getpid())
        process.in_background(partial(sync_first, socket, running=running))
    litestream.become(arguments)


def run(
    litestream: Litestream, arguments: Sequence[str], *, out: Show, err: Show
) -> None:
    """Run the daemon as a child to its end; as ``Litestream.run`` otherwise."""
    arguments, socket = _with_first_sync(litestream.configuration, arguments)
    ended = threading.Event()
    if socket:
        threading.Thread(
            target=sync_first,
            args=[socket],
            kwargs={"running": lambda: not ended.is_set()},
            daemon=True,
        ).start()
    try:
        litestream.run(arguments, out=out, err=err)
    finally:
        ended.set()


def _with_first_sync(
    configuration: Configuration | None, arguments: Sequence[str]
) -> tuple[list[str], Path | None]:
    """Return the words to run, and the socket where a first sync is to be made.

    What ``-exec`` starts may be over before anything beside it has made the sync,
    so it makes it itself, and no socket is returned.
    """
    words = list(arguments)
    if configuration is None or configuration.socket is None or "-once" in words:
        return words, None
    if "-exec" in words:
        place = words.index("-exec") + 1
        command = words[place]
        del words[place - 1 : place + 1]
    else:
        command = configuration.mapping.get("exec") or ""
    if not command:
        return words, configuration.socket
    syncing = [sys.executable, "-m", _FIRST_SYNC, str(configuration.socket)]
    return [words[0], "-exec", f"{shlex.join(syncing)} {command}", *words[1:]], None


def _refuse_second(socket: Path) -> None:
    try:
        with Daemon(socket, timeout=2.0) as daemon:
            running = daemon.info()
    except DaemonError:
        return
    raise DaemonRunning(
        f"A daemon already replicates these databases (process {running.pid}, control "
        f"socket {socket}): stop it first, or use `manage.py litestream sync`."
    )


def _file_replica_path(replica: dict[str, str]) -> Path | None:
    if url := replica.get("url"):
        parts = urlsplit(url)
        return Path(unquote(parts.path)) if parts.scheme == "file" else None
    if replica.get("type", "file") == "file" and replica.get("path"):
        return Path(replica["path"])
    return None


def _try_writing(path: Path, database: str) -> None:
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=path):
            pass
    except OSError as error:
        raise ConfigurationError(
            f"The replica of {database} cannot be written to {path}: {error.strerror}. "
            "Let this user write there, or correct the database's 'replica' in "
            "settings.LITESTREAM['dbs']."
        ) from error
