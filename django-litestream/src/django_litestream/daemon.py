"""Starting the daemon: what Litestream itself leaves to chance."""

from __future__ import annotations

import os
import shlex
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from . import databases, process, restarted_wal, typed_configuration
from .configuration import Configuration
from .control import Daemon
from .errors import ConfigurationError, DaemonError
from .one_daemon import Claim, none_on
from .subcommands import SUBCOMMANDS, operands

SYNC_IS_NOT_SAFE = (
    "After a sync over the control socket Litestream 0.5.17 may lose commits of a "
    "database that is being written to. It syncs by itself every second; `verify` "
    "waits for that."
)

# How long a database that is started is waited for, in seconds.
_PATIENCE = 10.0
_POLL_INTERVAL = 0.02

_WAITING = f"{__package__}.wait_for_first_sync"


def refuse_unwritable(configuration: Configuration) -> None:
    """Raise ``ConfigurationError`` where a ``file`` replica cannot be written to.

    Litestream would log for ever that it cannot.
    """
    for entry in configuration.mapping["dbs"]:
        for replica in (entry.get("replica"), *(entry.get("replicas") or ())):
            if replica and (path := _file_replica_path(replica)):
                _try_writing(path, entry.get("path") or entry["dir"])


def claim(configuration: Configuration | None, words: Sequence[str]) -> Claim:
    """Return what ``replicate`` needs for itself alone, the databases that it opens.

    ``words`` are its own, which may name databases, or a configuration; else it opens
    those of ``configuration``, which is that of the settings, ``None`` where it does not
    count.
    Raises ``ConfigurationError`` for one that Litestream would take for another, and for
    one that it would open twice.
    """
    if configuration:
        configuration.refuse_shared()
    metadata = (
        configuration.metadata()
        if configuration
        else typed_configuration.metadata_of(words)
    )
    opened = {
        path: metadata.get(path) or databases.metadata_beside(path)
        for path in dict.fromkeys([*_databases("replicate", words), *metadata])
    }
    if configuration is None:
        return Claim(metadata=opened)
    return Claim(
        metadata=opened,
        private_directory=configuration.private_directory,
        socket=configuration.socket,
    )


@contextmanager
def resetting(
    configuration: Configuration | None, words: Sequence[str], *, socket: Path | None
) -> Iterator[None]:
    """Have no daemon go on in this block with the database that ``reset`` forgets.

    A daemon logs for ever then that it cannot, and says nothing of it elsewhere.
    Raises ``DaemonRunning``: see ``none_on``.
    """
    if not words or "-dry-run" in words:
        yield
        return
    path = Path(words[-1])
    metadata = configuration.metadata() if configuration else {}
    place = metadata.get(path) or databases.metadata_beside(path)
    with none_on(path, place, socket=socket):
        yield


def prepare_register(
    configuration: Configuration, words: Sequence[str], *, socket: Path
) -> None:
    """Have the daemon on ``socket`` see all of the databases that it is to begin with.

    Raises ``ConfigurationError``: see ``restarted_wal.empty``.
    """
    try:
        known = {one.path for one in Daemon(socket).databases()}
    except DaemonError:
        # Litestream says why it cannot be registered either.
        return
    metadata = configuration.metadata()
    for path in _databases("register", words):
        if path not in known:
            restarted_wal.empty(path, metadata.get(path))


@contextmanager
def starting(
    configuration: Configuration, words: Sequence[str], *, socket: Path, holds: bool
) -> Iterator[None]:
    """Have the daemon on ``socket`` go on in this block with the databases named.

    ``holds`` says whether nothing else of this process has one of them open, nor will
    have. Raises ``ConfigurationError``: see ``restarted_wal.going_on``.
    """
    metadata = configuration.metadata()
    paths = _databases("start", words)
    with ExitStack() as going_on:
        for path in paths:
            going_on.enter_context(
                restarted_wal.going_on(path, metadata.get(path), holds=holds)
            )
        before = _last_syncs(socket, paths)
        yield
        # Litestream opens a database some time after it has said that it does.
        deadline = time.monotonic() + _PATIENCE
        while time.monotonic() < deadline and _last_syncs(socket, paths) == before:
            time.sleep(_POLL_INTERVAL)


def _last_syncs(socket: Path, paths: Sequence[Path]) -> list[str]:
    try:
        listed = Daemon(socket).databases()
    except DaemonError:
        return []
    return [one.last_sync_at for one in listed if one.path in paths]


def _databases(name: str, words: Sequence[str]) -> list[Path]:
    """Return the databases that subcommand ``name`` is given by its words.

    Raises ``ConfigurationError`` for one that Litestream would take for another.
    """
    found = [
        path
        for path in map(Path, operands(SUBCOMMANDS[name], words))
        # What comes through a pipe can be read but once.
        if os.path.isfile(path) and databases.is_wal(path) is not None
    ]
    for path in found:
        databases.refuse_misread(path)
    return found


def with_first_sync(
    configuration: Configuration, arguments: Sequence[str]
) -> list[str]:
    """Return ``arguments`` with what ``-exec`` runs held back until the first sync.

    See ``wait_for_first_sync`` for why.
    """
    words = list(arguments)
    command = configuration.mapping.get("exec") or ""
    if "-exec" in words:
        place = words.index("-exec")
        _, command = words[place : place + 2]
        del words[place : place + 2]
    if not command or configuration.socket is None or not process.CAN_BECOME:
        return list(arguments)
    waiting = [sys.executable, "-m", _WAITING, str(configuration.socket)]
    return [words[0], "-exec", f"{shlex.join(waiting)} {command}", *words[1:]]


def _file_replica_path(replica: dict[str, str]) -> Path | None:
    if url := replica.get("url"):
        try:
            parts = urlsplit(url)
        except ValueError:
            # A password that is not percent-encoded, and so no path.
            return None
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
