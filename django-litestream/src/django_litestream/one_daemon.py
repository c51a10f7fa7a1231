"""Two daemons on one database destroy each other's replica, so there is only one."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from . import databases, locking, private_files
from .control import Daemon
from .descriptors import make_room
from .directories import LOCK_NAME
from .errors import DaemonError, DaemonRunning
from .restarted_wal import LEVELS


@dataclass(frozen=True, kw_only=True)
class Claim:
    """What a daemon has for itself alone.

    ``metadata`` has the databases, each with Litestream's directory. The other two are
    a project's: where its lock is, and the control socket; ``None`` where there is none.
    """

    metadata: Mapping[Path, Path]
    private_directory: Path | None = None
    socket: Path | None = None


@contextmanager
def only_one(claim: Claim) -> Iterator[None]:
    """Have no other daemon on these databases in this block.

    Nor beside what this process becomes in it. To be called on POSIX in a process of its
    own: its locks keep other processes away, and no threads. Raises ``DaemonRunning``
    where there is one of this project, or of another that has one of the databases, and
    ``PrivateFileError`` where this project has no place for its lock.
    """
    if claim.socket:
        _refuse_second(claim.socket)
    with ExitStack() as locks:
        if claim.private_directory and not _lock(
            private_files.made_directory(claim.private_directory), locks
        ):
            raise DaemonRunning(
                "Another `manage.py litestream replicate` of this project runs or "
                "starts: two of them would destroy each other's replica. Stop it before "
                "you start another."
            )
        for database, metadata in claim.metadata.items():
            if not _lock_metadata(database, metadata, locks):
                raise DaemonRunning(_of_another(database, claim))
        yield


def _of_another(database: Path, claim: Claim) -> str:
    why = "two of them would destroy each other's replica. Stop it"
    if claim.private_directory is None:
        return f"A daemon replicates {database} already: {why} first."
    return (
        f"A daemon of another user or project replicates {database}: {why}, or take the "
        "database out of settings.LITESTREAM['dbs']."
    )


@contextmanager
def none_on(database: Path, metadata: Path, *, socket: Path | None) -> Iterator[None]:
    """Have no daemon replicate ``database`` in this block.

    Raises ``DaemonRunning`` where that on ``socket`` does, or one that is not asked.
    """
    status = _status(database, socket) if socket else None
    with ExitStack() as locks:
        # One that has stopped it keeps the lock, and does not look at it.
        if status != "stopped" and (
            status
            or (metadata.is_dir() and not _lock_metadata(database, metadata, locks))
        ):
            raise DaemonRunning(
                f"A daemon replicates {database}, and without what it knows of it would "
                "do so no more: stop the daemon first, and start it again afterwards."
            )
        yield


def _status(database: Path, socket: Path) -> str | None:
    """Return what the daemon on ``socket`` says of ``database``, ``None`` for nothing."""
    try:
        listed = Daemon(socket, timeout=2.0).databases()
    except DaemonError:
        return None
    return next((one.status for one in listed if one.path == database), None)


def lock_held(metadata: Path) -> Path | None:
    """Return the file by which a daemon has the database of ``metadata``, if one has.

    That is Litestream's directory of the database. Nothing is known of a daemon where
    this user may not look.
    """
    lock = metadata / LOCK_NAME
    with suppress(OSError):
        return lock if locking.is_kept(lock) else None
    return None


def _refuse_second(socket: Path) -> None:
    try:
        running = Daemon(socket, timeout=2.0).info()
    except DaemonError:
        return
    raise DaemonRunning(
        f"A daemon already replicates these databases (process {running.pid}, control "
        f"socket {socket}): stop it before you start another."
    )


def _lock_metadata(database: Path, directory: Path, locks: ExitStack) -> bool:
    # Who may not write there is no daemon of this database's: its log says so.
    with suppress(OSError):
        if not directory.is_dir():
            if not (directory.is_absolute() and _is_replicated(database)):
                return True
            _make(directory / LEVELS, database.parent.stat())
        if not _lock(directory, locks):
            return False
        # What root leaves there must keep nobody from locking it.
        _give(directory / LOCK_NAME, directory.stat())
    return True


def _is_replicated(database: Path) -> bool:
    """Whether there is what Litestream replicates, which may have nothing in it yet."""
    return databases.is_wal(database) is not None or not database.stat().st_size


def _make(directory: Path, beside: os.stat_result) -> None:
    """Make a directory as Litestream does: like the one that the database is in."""
    if not directory.parent.is_dir():
        _make(directory.parent, beside)
    directory.mkdir(stat.S_IMODE(beside.st_mode), exist_ok=True)
    _give(directory, beside)


def _give(path: Path, like: os.stat_result) -> None:
    """Have what root has made belong to the owner of something else."""
    if os.name == "posix" and os.geteuid() == 0:
        os.chown(path, like.st_uid, like.st_gid)


def _lock(directory: Path, locks: ExitStack) -> bool:
    make_room()
    handle = locking.keep(directory / LOCK_NAME)
    if handle is None:
        return False
    locks.callback(os.close, handle)
    return True
