"""The running daemon, spoken to over its control socket (HTTP on a Unix socket)."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import httpx

from .errors import DaemonError, DaemonUnavailable


@dataclass(frozen=True, kw_only=True)
class Info:
    """What the daemon says of itself."""

    version: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class Sync:
    """Where a database stands after a sync: its own TXID and its replica's."""

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
        answer = self._ask("GET", "/info")
        return Info(
            version=_field(answer, "version", str), pid=_field(answer, "pid", int)
        )

    def databases(self) -> dict[Path, str]:
        """Return the databases the daemon manages, each with its status."""
        listed = _field(self._ask("GET", "/list"), "databases", list)
        return {
            Path(_field(entry, "path", str)): _field(entry, "status", str)
            for entry in listed
        }

    def sync(self, database: Path, *, wait: bool) -> Sync:
        """Have the daemon cut what was committed into an LTX file.

        With ``wait`` it also uploads it before it answers. The TXID returned holds
        every transaction committed before the call.
        """
        answer = self._ask(
            "POST",
            "/sync",
            {
                "path": str(database),
                "wait": wait,
                "timeout": max(1, int(self._timeout)),
            },
        )
        return Sync(
            txid=_field(answer, "txid", int),
            replicated_txid=_field(answer, "replicated_txid", int),
        )

    def _ask(
        self, method: str, path: str, body: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        self._try_connecting()
        try:
            response = self._client.request(method, path, json=body)
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
                f"{method} {path} gave status {response.status_code} and no JSON."
            )
        if response.is_error:
            reason = (
                answer.get("details") or answer.get("error") or response.status_code
            )
            raise DaemonError(str(reason), status=response.status_code)
        return answer

    def _try_connecting(self) -> None:
        """Find out that nobody listens; httpcore leaves its socket open if so."""
        if not hasattr(socket, "AF_UNIX"):
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


def _field[T](answer: Any, name: str, kind: type[T]) -> T:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        raise DaemonError(
            f"The daemon's answer has no '{name}' as Litestream 0.5 gives it: {answer}."
        )
    return value
