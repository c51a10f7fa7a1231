"""Starting the daemon: what Litestream itself leaves to chance."""

from __future__ import annotations

import os
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NoReturn
from urllib.parse import unquote, urlsplit

from . import process
from .configuration import Configuration
from .control import Daemon
from .errors import ConfigurationError, DaemonError, DaemonRunning, DaemonUnavailable
from .invocation import Litestream, Show

# How long a daemon may take to open its control socket, in seconds.
_START_TIMEOUT = 30.0
_POLL_INTERVAL = 0.002


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
    if socket := _socket(litestream):
        running = partial(process.is_running, os.getpid())
        process.in_background(partial(sync_first, socket, running=running))
    litestream.become(arguments)


def run(
    litestream: Litestream, arguments: Sequence[str], *, out: Show, err: Show
) -> None:
    """Run the daemon as a child to its end; as ``Litestream.run`` otherwise."""
    ended = threading.Event()
    if socket := _socket(litestream):
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


def sync_first(socket: Path, *, running: Callable[[], bool]) -> None:
    """Wait for the daemon on ``socket`` and have it open and sync its databases.

    Litestream 0.5.17 opens them a second after it starts. Stopped before, by a
    signal or by the end of what ``-exec`` runs, it ends with status 0 and has
    replicated nothing. Gives up once ``running`` says that there is no daemon to
    wait for; what keeps a database from being synced is in the daemon's log.
    """
    deadline = time.monotonic() + _START_TIMEOUT
    while running() and time.monotonic() < deadline:
        try:
            with Daemon(socket, timeout=_START_TIMEOUT) as daemon:
                for database in daemon.databases():
                    _sync(daemon, database)
            return
        except DaemonUnavailable:
            time.sleep(_POLL_INTERVAL)


def _sync(daemon: Daemon, database: Path) -> None:
    try:
        daemon.sync(database, wait=False)
    except DaemonUnavailable:
        raise
    except DaemonError:
        pass


def _socket(litestream: Litestream) -> Path | None:
    return litestream.configuration.socket if litestream.configuration else None


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
