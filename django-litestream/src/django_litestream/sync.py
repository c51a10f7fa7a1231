"""``litestream sync`` without the time limit that damages backups."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .control import Daemon, has_unix_sockets
from .errors import DaemonError, DaemonUnavailable

_SHORTEST_PAUSE = 0.05
_LONGEST_PAUSE = 1.0


@dataclass(frozen=True, kw_only=True)
class Synced:
    """What a sync came to; ``replica_txid`` is ``None`` where nobody waited for it."""

    path: Path
    txid: int
    replica_txid: int | None
    duration: float

    def _fields(self) -> Iterator[tuple[str, str | int]]:
        yield "db_path", str(self.path)
        yield "txid", self.txid
        if self.replica_txid is not None:
            yield "replica_txid", self.replica_txid
        yield "duration_ms", int(self.duration * 1000)

    def as_json(self) -> str:
        """Return what Litestream prints with ``-json``."""
        return json.dumps(dict(self._fields()), indent=2)

    def __str__(self) -> str:
        return "\n".join(f"{name}: {value}" for name, value in self._fields())


def can_be_asked_here(words: Sequence[str]) -> bool:
    """Whether ``words``, the operands and unknown flags, need no Litestream.

    It is left to Litestream to refuse other numbers of operands than one, to know
    the flags of a newer version, and to speak to a Unix socket on Windows.
    """
    return len(words) == 1 and not words[0].startswith("-") and has_unix_sockets()


def sync(socket: Path, database: Path, *, wait: bool, timeout: float) -> Synced:
    """Have the daemon on ``socket`` sync ``database``, and say what that came to.

    With ``wait`` this returns once the replica holds every commit made before the
    call, within ``timeout`` seconds. The daemon is told of neither: see
    ``Daemon.sync`` for what they would cost. Raises ``DaemonUnavailable`` where it
    does not answer or the replica does not hold them in time, and ``DaemonError``
    where the daemon refuses, or goes on with a file that was at ``database`` before.
    """
    daemon = Daemon(socket, timeout=timeout)
    try:
        synced = _sync(daemon, database, wait=wait, timeout=timeout)
    except DaemonUnavailable:
        raise
    except DaemonError as error:
        raise DaemonError(daemon.lost(database) or str(error)) from error
    # It says that all is well of what others have put in its file's place.
    if lost := daemon.lost(database):
        raise DaemonError(lost)
    return synced


def _sync(daemon: Daemon, database: Path, *, wait: bool, timeout: float) -> Synced:
    began = time.monotonic()
    deadline = began + timeout
    progress = daemon.sync(database)
    txid, pause = progress.txid, _SHORTEST_PAUSE
    while wait and progress.replicated_txid < txid:
        if time.monotonic() + pause > deadline:
            raise DaemonUnavailable(
                f"The replica of {database} does not hold transaction {txid} after "
                f"{timeout:g} s, only {progress.replicated_txid}: the daemon's log "
                "says why."
            )
        time.sleep(pause)
        pause = min(pause * 2, _LONGEST_PAUSE)
        progress = daemon.sync(database)
    return Synced(
        path=database,
        txid=txid,
        replica_txid=progress.replicated_txid if wait else None,
        duration=time.monotonic() - began,
    )
