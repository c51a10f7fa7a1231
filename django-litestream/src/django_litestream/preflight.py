"""What is looked at before the daemon starts, as it would only log it for ever."""

from __future__ import annotations

import tempfile
from pathlib import Path
from urllib.parse import unquote, urlsplit

from .config import Configuration
from .control import Daemon
from .errors import ConfigurationError, DaemonError, DaemonRunning, DaemonUnavailable


def check(configuration: Configuration) -> None:
    """Refuse to start a daemon that cannot do its work.

    Raises ``DaemonRunning`` where another daemon answers on the control socket:
    two of them destroy each other's replica. Raises ``ConfigurationError`` where
    a ``file`` replica cannot be written to.
    """
    if configuration.socket:
        _refuse_second_daemon(configuration.socket)
    for entry in configuration.mapping["dbs"]:
        for replica in (entry.get("replica"), *(entry.get("replicas") or ())):
            if replica and (path := _file_replica_path(replica)):
                _try_writing(path, entry.get("path") or entry["dir"])


def _refuse_second_daemon(socket: Path) -> None:
    try:
        with Daemon(socket, timeout=2.0) as daemon:
            running = daemon.info()
    except (DaemonUnavailable, DaemonError):
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
