"""What runs between the daemon and a command of ``-exec``.

Litestream 0.5.17 opens its databases a second after it starts. Where what ``-exec``
runs is over before, it ends with status 0 and has replicated nothing, so the
command is held back until the daemon has synced once::

    python -m django_litestream.wait_for_first_sync SOCKET COMMAND [ARGUMENT ...]

A sync asked for over the control socket would be quicker but is not safe: see
``Daemon``.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from . import process
from .control import Daemon
from .errors import DaemonError

# How long a daemon may take to sync for the first time, in seconds. What keeps a
# database from being synced is in its log, and the command runs all the same.
_PATIENCE = 10.0
_POLL_INTERVAL = 0.02


def main(socket: str, *command: str) -> None:
    """Wait, then become ``command``; exit status 127 where it cannot be executed."""
    daemon = os.getppid()
    deadline = time.monotonic() + _PATIENCE
    while (
        os.getppid() == daemon
        and time.monotonic() < deadline
        and not _has_synced(Path(socket))
    ):
        time.sleep(_POLL_INTERVAL)
    try:
        os.execvpe(command[0], command, process.environment_below())
    except OSError as error:
        print(f"{command[0]} cannot be executed: {error.strerror}.", file=sys.stderr)
        sys.exit(127)


def _has_synced(socket: Path) -> bool:
    try:
        return all(
            database.last_sync_at
            for database in Daemon(socket, timeout=_PATIENCE).databases()
            if database.path.exists()
        )
    except DaemonError:
        return False


if __name__ == "__main__":
    main(*sys.argv[1:])
