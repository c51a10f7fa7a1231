"""Two daemons on one database destroy each other's replica, so there is only one."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

from . import locking, private_files
from .configuration import Configuration
from .control import Daemon
from .descriptors import make_room
from .errors import DaemonError, DaemonRunning

_LOCK_NAME = "replicate.lock"


@contextmanager
def only_one(configuration: Configuration) -> Iterator[None]:
    """Have no other daemon on these databases in this block.

    Nor beside what this process becomes in it. Raises ``DaemonRunning`` where there is
    one of this project, or of another that has one of the databases, and
    ``PrivateFileError`` where this project has no place for its lock.
    """
    if configuration.socket:
        _refuse_second(configuration.socket)
    with ExitStack() as locks:
        directory = private_files.made_directory(configuration.private_directory)
        if not _lock(directory, locks):
            raise DaemonRunning(
                "Another `manage.py litestream replicate` of this project runs or "
                "starts: two of them would destroy each other's replica. Stop it before "
                "you start another."
            )
        for database, metadata in configuration.metadata().items():
            if not _lock_metadata(metadata, locks):
                raise DaemonRunning(
                    f"A daemon of another user or project replicates {database}: two "
                    "of them would destroy each other's replica. Stop it, or take the "
                    "database out of settings.LITESTREAM['dbs']."
                )
        yield


def _refuse_second(socket: Path) -> None:
    try:
        running = Daemon(socket, timeout=2.0).info()
    except DaemonError:
        return
    raise DaemonRunning(
        f"A daemon already replicates these databases (process {running.pid}, control "
        f"socket {socket}): stop it before you start another."
    )


def _lock_metadata(directory: Path, locks: ExitStack) -> bool:
    # A daemon makes it, so where it is not there no other one has been yet.
    if not directory.is_dir():
        return True
    # Who may not write there is no daemon of this database's: its log says so.
    with suppress(OSError):
        if not _lock(directory, locks):
            return False
        if os.name == "posix" and os.geteuid() == 0:
            # What root leaves there must keep nobody from locking it.
            owner = directory.stat()
            os.chown(directory / _LOCK_NAME, owner.st_uid, owner.st_gid)
    return True


def _lock(directory: Path, locks: ExitStack) -> bool:
    make_room()
    handle = locking.keep(directory / _LOCK_NAME)
    if handle is None:
        return False
    locks.callback(os.close, handle)
    return True
