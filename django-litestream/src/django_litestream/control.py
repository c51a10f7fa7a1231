"""The running daemon, spoken to over its control socket (HTTP on a Unix socket)."""

from __future__ import annotations

import json
import os
import reprlib
import socket
import struct
import time
from collections.abc import Buffer
from dataclasses import dataclass
from datetime import datetime
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from .errors import DaemonError, DaemonUnavailable
from .txids import GREATEST_TXID

# Of an answer, in bytes: what the daemon lists 50,000 databases in.
_LONGEST_ANSWER = 16 * 1024 * 1024
# Of what the daemon says of a failure, in characters.
_LONGEST_REASON = 500

# The process, user and group at the other end of a Unix socket (unix(7)).
_CREDENTIALS = struct.Struct("3i")


@dataclass(frozen=True, kw_only=True)
class Info:
    """What the daemon says of itself."""

    version: str
    pid: int


@dataclass(frozen=True, kw_only=True)
class ManagedDatabase:
    """A database of the daemon's.

    ``last_sync_at`` is when it was synced last since the daemon started, in Litestream's
    words, and empty where it was not.
    """

    path: Path
    status: str
    last_sync_at: str


@dataclass(frozen=True, kw_only=True)
class Cut:
    """The last time that the daemon cut, or cuts, a database's WAL into a transaction.

    It does so at each of its ``monitor-interval``, also where there is nothing new.
    ``began_at`` is ``None`` before the first; ``error`` is in Litestream's words.
    """

    began_at: datetime | None
    is_over: bool
    error: str


@dataclass(frozen=True, kw_only=True)
class Progress:
    """The newest TXID cut from a database's WAL, and the newest in its replica."""

    txid: int
    replicated_txid: int


class Daemon:
    """The daemon that listens on a control socket.

    Nothing is kept open from one call to the next. ``timeout`` (seconds) bounds each
    of them, however slowly its answer comes. Every call raises ``DaemonUnavailable``
    where nothing answers in time and ``DaemonError`` where the daemon refuses or its
    answer makes no sense.
    """

    def __init__(self, path: Path, *, timeout: float = 10.0) -> None:
        self.socket = path
        self._timeout = timeout

    def info(self) -> Info:
        """Ask which Litestream runs, in which process."""
        answer = self._ask("/info")
        return Info(version=_field(answer, "version", str), pid=_number(answer, "pid"))

    def databases(self) -> tuple[ManagedDatabase, ...]:
        """Return the databases the daemon manages."""
        listed = _field(self._ask("/list"), "databases", list)
        return tuple(
            ManagedDatabase(
                path=Path(_field(entry, "path", str)),
                status=_field(entry, "status", str),
                last_sync_at=_field({"last_sync_at": ""} | entry, "last_sync_at", str),
            )
            for entry in listed
        )

    def txid(self, database: Path) -> int:
        """Return the newest transaction the daemon has cut from the database's WAL.

        It cuts once a second: commits of the last second may have no TXID yet.
        """
        answer = self._ask(f"/txid?{urlencode({'path': os.fspath(database)})}")
        return _number(answer, "txid")

    def last_cut(self, database: Path) -> Cut:
        """Return what became of the last time that the database's WAL was cut."""
        answer = self._ask(f"/debug/sync-status?{urlencode({'path': database})}")
        entry: Any = next(iter(_field(answer, "databases", list)), None)
        is_under_way = _field(entry, "active", bool)
        told = {"started_at": "", "error": ""} | entry
        return Cut(
            began_at=_moment(told, "started_at"),
            is_over=not is_under_way,
            error=_line(_field(told, "error", str)),
        )

    def sync(self, database: Path) -> Progress:
        """Have the database's WAL cut now; return how far that and the replica are.

        The TXID holds every commit so far. Nothing is said of when to be done. A
        request with ``wait`` or ``timeout`` ends a transaction of Litestream 0.5.17's
        with itself, and with that the lock which keeps SQLite from overwriting commits
        that are not replicated yet: the backup lacks them then. What the client here
        gives up waiting for goes on in the daemon.
        """
        answer = self._ask("/sync", tell={"path": os.fspath(database)})
        return Progress(
            txid=_number(answer, "txid"),
            replicated_txid=_number(answer, "replicated_txid"),
        )

    def lost(self, database: Path) -> str:
        """Say that it replicates a file that was at this path before, empty if not so.

        Known on Linux alone, of a process of the same user's that answers by itself.
        """
        has_opened = any(
            one.last_sync_at for one in self.databases() if one.path == database
        )
        files = self._open_files() if has_opened else []
        if not files or any(_is_same(file, database) for file in files):
            return ""
        return (
            f"The daemon on {self.socket} replicates a file that was at {database} and is "
            "there no more: restart it, and your application, which may have that file "
            "open too."
        )

    def _open_files(self) -> list[Path]:
        if not hasattr(socket, "SO_PEERCRED"):
            return []
        with self._connect() as connected:
            credentials = connected.getsockopt(
                socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size
            )
        pid, _, _ = _CREDENTIALS.unpack(credentials)
        # Another passes requests on, or the number is that of a container.
        if pid != self.info().pid:
            return []
        try:
            return [*Path(f"/proc/{pid}/fd").iterdir()]
        except OSError:
            return []

    def _ask(self, path: str, *, tell: dict[str, str] | None = None) -> dict[str, Any]:
        status, content = self._exchange(path, tell)
        try:
            answer = json.loads(content)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise DaemonError(
                f"What answers on {self.socket} is not a Litestream daemon: "
                f"{path} gave status {status} and no JSON."
            )
        if status >= 400:
            said = [answer.get("details"), answer.get("error"), str(status)]
            lines = (_line(one) for one in said if isinstance(one, str))
            raise DaemonError(next(filter(None, lines)), status=status)
        return answer

    def _exchange(self, path: str, tell: dict[str, str] | None) -> tuple[int, bytes]:
        connection = HTTPConnection("litestream")
        connection.sock = self._connect()
        try:
            if tell is None:
                connection.request("GET", path)
            else:
                headers = {"Content-Type": "application/json"}
                connection.request("POST", path, json.dumps(tell), headers)
            with connection.getresponse() as response:
                # What is longer, or breaks off, is no JSON.
                return response.status, response.read(_LONGEST_ANSWER)
        except TimeoutError as error:
            raise DaemonUnavailable(
                f"The daemon on {self.socket} gave no answer within "
                f"{self._timeout:g} s: look at its log."
            ) from error
        except (OSError, HTTPException, ValueError) as error:
            raise DaemonError(
                f"What answers on {self.socket} is not a Litestream daemon: "
                f"{_line(str(error))}."
            ) from error
        finally:
            connection.close()

    def _connect(self) -> socket.socket:
        if not has_unix_sockets():
            raise DaemonUnavailable(
                "Python has no Unix sockets on this system, so the daemon cannot be "
                "asked from here."
            )
        connected = _PunctualSocket(self._timeout)
        try:
            connected.connect(os.fspath(self.socket))
        except OSError as error:
            connected.close()
            raise DaemonUnavailable(
                f"No daemon answers on {self.socket} ({error.strerror or error}): start "
                "it with `manage.py litestream replicate`; if it runs, give both sides "
                "the same settings.LITESTREAM['socket']['path']."
            ) from error
        return connected


class _PunctualSocket(socket.socket):
    """A Unix socket that waits for ``seconds``, all its waits taken together."""

    def __init__(self, seconds: float) -> None:
        super().__init__(socket.AF_UNIX)
        self._deadline = time.monotonic() + seconds
        self.settimeout(seconds)

    def sendall(self, data: Buffer, flags: int = 0) -> None:
        self._wait_no_longer()
        super().sendall(data, flags)

    def recv_into(self, buffer: Buffer, nbytes: int = 0, flags: int = 0) -> int:
        self._wait_no_longer()
        return super().recv_into(buffer, nbytes, flags)

    def _wait_no_longer(self) -> None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("timed out")
        self.settimeout(left)


def has_unix_sockets() -> bool:
    """Whether Python can speak to a daemon on this system."""
    return hasattr(socket, "AF_UNIX")


def _is_same(file: Path, other: Path) -> bool:
    try:
        return os.path.samefile(file, other)
    except OSError:
        return False


def _number(answer: Any, name: str) -> int:
    """Return a field that is a TXID, or another number that is as large at most."""
    number = _field(answer, name, int)
    if isinstance(number, bool) or not 0 <= number <= GREATEST_TXID:
        raise _lacking(answer, name)
    return number


def _moment(answer: Any, name: str) -> datetime | None:
    """Return a field that is a time with its offset, ``None`` where it is empty."""
    written = _field(answer, name, str)
    try:
        moment = datetime.fromisoformat(written) if written else None
    except ValueError:
        raise _lacking(answer, name) from None
    if moment is not None and moment.tzinfo is None:
        raise _lacking(answer, name)
    return moment


def _field[T](answer: Any, name: str, kind: type[T]) -> T:
    value = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(value, kind):
        raise _lacking(answer, name)
    return value


def _lacking(answer: Any, name: str) -> DaemonError:
    return DaemonError(
        f"The daemon's answer has no '{name}' as Litestream 0.5 gives it: "
        f"{reprlib.repr(answer)}."
    )


def _line(reason: str) -> str:
    """Return a reason as one line that is not too long."""
    line = " ".join(reason.split())
    return line if len(line) <= _LONGEST_REASON else f"{line[:_LONGEST_REASON]}..."
