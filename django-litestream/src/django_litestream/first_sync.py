"""The sync that a new daemon needs before it may be stopped.

Litestream 0.5.17 opens its databases a second after it starts. Stopped before, by
a signal or by the end of what ``-exec`` runs, it ends with status 0 and has
replicated nothing. A sync asked for over the control socket opens them at once.

As a program it does that and then becomes another one::

    python -m django_litestream.first_sync SOCKET COMMAND [ARGUMENT ...]
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

from .control import Daemon
from .errors import DaemonError, DaemonUnavailable

# How long a daemon may take to open its control socket, in seconds.
_START_TIMEOUT = 10.0
_POLL_INTERVAL = 0.002


def sync_first(socket: Path, *, running: Callable[[], bool]) -> None:
    """Wait for the daemon on ``socket`` and have it open and sync its databases.

    Gives up after ten seconds, and once ``running`` says that there is no daemon
    to wait for. What keeps a database from being synced is in the daemon's log.
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


def main(socket: str, *command: str) -> None:
    """Sync, then become ``command``; exit status 127 where it cannot be executed."""
    daemon = os.getppid()
    sync_first(Path(socket), running=lambda: os.getppid() == daemon)
    try:
        os.execvp(command[0], command)
    except OSError as error:
        sys.exit(_not_executed(command[0], error))


def _not_executed(name: str, error: OSError) -> int:
    print(f"{name} cannot be executed: {error.strerror}.", file=sys.stderr)
    return 127


if __name__ == "__main__":
    main(*sys.argv[1:])
