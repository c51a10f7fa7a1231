"""The running daemon, spoken to over its control socket (HTTP on a Unix socket)."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from urllib.parse import urlencode

import httpx

from .errors import DaemonError, DaemonUnavailable


@dataclass(frozen=True, kw_only=True)
class Info:
    """What the daemon says of itself."""

    version: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class ManagedDatabase:
    """A database of the daemon's; ``synced`` once it has been, since it started."""

    path: Path
    status: str
    synced: bool


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The newest TXID cut from a database's WAL, and the newest in its replica."""

    txid: int
    replicated_txid: int


class Daemon:
    """The daemon that listens on a control socket.

    ``timeout`` (seconds) bounds each call. Every call raises
    ``DaemonUnavailable`` where nothing answers in time and ``DaemonError`` where
    the daemon refuses or its answer makes no sense.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.socket = path
        self._timeout = timeout
        self._client = httpx.Client(
            base_url="http://litestream",
            transport=httpx.HTTPTransport(uds=os.fspath(path)),
            timeout=timeout,
            trust_env=False,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exception: object) -> None:
        self._client.close()

    def info(self) -> Info:
        """Ask which Litestream runs, in which process."""
        answer = self._ask("/info")
        return Info(
            version=_field(answer, "version", str), pid=_field(answer, "pid", int)
        )

    def databases(self) -> tuple[ManagedDatabase, ...]:
        """Return the databases the daemon manages."""
        listed = _field(self._ask("/list"), "databases", list)
        return tuple(
            ManagedDatabase(
                path=Path(_field(entry, "path", str)),
                status=_field(entry, "status", str),
                synced="last_sync_at" in entry,
            )
            for entry in listed
        )

    def txid(self, database: Path) -> int:
        """Return the newest transaction the daemon has cut from the database's WAL.

        It cuts once a second: commits of the last second may have no TXID yet.
        """
        answer = self._ask(f"/txid?{urlencode({'path': os.fspath(database)})}")
        return _field(answer, "txid", int)

    def sync(self, database: Path) -> Progress:
        """Have the database's WAL cut now; return how far that and the replica are.

        The TXID holds every commit so far. Nothing is said of when to be done. A request with ``wait`` or ``timeout`` ends
        a transaction of Litestream 0.5.17's with itself, and with that the lock which
        keeps SQLite from overwriting commits that are not replicated yet: the backup
        lacks them then. What the client here gives up waiting for goes on in the
        daemon.
        """
        answer = self._ask("/sync", tell={"path": os.fspath(database)})
        return Progress(
            txid=_field(answer, "txid", int),
            replicated_txid=_field(answer, "replicated_txid", int),
        )

    def _ask(self, path: str, *, tell: dict[str, str] | None = None) -> dict[str, Any]:
        self._try_connecting()
        try:
            if tell is None:
                response = self._client.get(path)
            else:
                response = self._client.post(path, json=tell)
        except httpx.TimeoutException as error:
            raise DaemonUnavailable(
                f"The daemon on {self.socket} gave no answer within "
                f"{self._timeout:g} s: look at its log."
            ) from error
        except httpx.HTTPError as error:
            raise DaemonError(
                f"What answers on {self.socket} is not a Litestream daemon: {error}."
            ) from error
        try:
            answer = response.json()
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise DaemonError(
                f"What answers on {self.socket} is not a Litestream daemon: "
                f"{path} gave status {response.status_code} and no JSON."
            )
        if response.is_error:
            reason = (
                answer.get("details") or answer.get("error") or response.status_code
            )
            raise DaemonError(str(reason), status=response.status_code)
        return answer

    def _try_connecting(self) -> None:
        """Find out that nobody listens; httpcore leaves its socket open if so."""
        if not has_unix_sockets():
            raise DaemonUnavailable(
                "Python has no Unix sockets on this system, so the daemon cannot be "
                "asked from here."
            )
        try:
            with socket.socket(socket.AF_UNIX) as probe:
                probe.settimeout(self._timeout)
                probe.connect(os.fspath(self.socket))
        except OSError as error:
            raise DaemonUnavailable(
                f"No daemon answers on {self.socket} ({error.strerror or error}): start "
                "it with `manage.py litestream replicate`; if it runs, give both sides "
                "the same settings.LITESTREAM['socket']['path']."
            ) from error


def has_unix_sockets() -> bool:
    """Whether Python can speak to a daemon on this system."""
    return hasattr(socket, "AF_UNIX")


def _field[T](answer: Any, name: str, kind: type[T]) -> T:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        raise DaemonError(
            f"The daemon's answer has no '{name}' as Litestream 0.5 gives it: {answer}."
        )
    return value
