"""One process at a time, by a lock that dies with its process."""

from __future__ import annotations

import errno
import os
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .descriptors import descriptors_of
from .errors import DownloadError

if sys.platform == "win32":
    import msvcrt
else:
    import fcntl

_INTERVAL = 0.1


@contextmanager
def exclusive(path: Path, *, patience: float) -> Iterator[None]:
    """Hold the lock of the file ``path``, which is there as long as somebody does.

    Raises ``DownloadError`` where another process holds it for ``patience`` seconds,
    ``OSError`` where the file cannot be made or locked.
    """
    deadline = time.monotonic() + patience
    while (handle := _try(path)) is None:
        if time.monotonic() > deadline:
            raise DownloadError(
                f"{path} has been locked by another process for {patience:.0f} s: end "
                "that process or try again."
            )
        time.sleep(_INTERVAL)
    try:
        yield
    finally:
        _release(path, handle)


@contextmanager
def exclusive_with_children(path: Path) -> Iterator[int | None]:
    """Hold the lock of the file ``path``; give its descriptor.

    ``None`` where another process holds it. A child that is passed the descriptor holds
    it too, and goes on to where this process is killed. Raises ``OSError`` where the file
    cannot be made or locked.
    """
    handle = _try(path)
    try:
        yield handle
    finally:
        if handle is not None:
            _release(path, handle)


def keep(path: Path) -> int | None:
    """Take the lock of the file ``path`` until the descriptor is closed.

    Returns the descriptor, ``None`` where another process has the lock. It is this
    process's, even as another program: a child that inherits the descriptor does not
    hold it, and on POSIX all threads do. The file stays where it is. Raises ``OSError``
    where it cannot be made or locked.
    """
    handle = _opened(path, _lock_for_process)
    if handle is not None:
        os.set_inheritable(handle, True)
    return handle


def is_kept(path: Path) -> bool:
    """Whether a process has the lock that ``keep`` takes, be it this one.

    Raises ``OSError`` where there is no such file, or none that can be locked.
    """
    # To close it once more would take the lock from this process.
    if any(True for _ in descriptors_of(path.stat())):
        return True
    handle = os.open(path, os.O_RDWR)
    try:
        return not _lock_for_process(handle)
    finally:
        os.close(handle)


def _try(path: Path) -> int | None:
    """Return the locked file's descriptor, ``None`` where another process has it."""
    try:
        return _opened(path, lambda handle: _lock(handle) and _is_still(path, handle))
    except PermissionError:
        # Windows' answer, too, for a file that its last holder is removing.
        if sys.platform == "win32" and path.exists():
            return None
        raise


def _opened(path: Path, lock: Callable[[int], bool]) -> int | None:
    """Return the descriptor of the file if ``lock`` takes it, else ``None``."""
    handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        if lock(handle):
            return handle
    except BaseException:
        os.close(handle)
        raise
    os.close(handle)
    return None


def _is_still(path: Path, handle: int) -> bool:
    """Whether the file has not been removed by its holder before we had the lock."""
    with suppress(FileNotFoundError):
        return os.path.samestat(os.fstat(handle), path.stat())
    return False


if sys.platform == "win32":

    def _lock(handle: int) -> bool:
        try:
            msvcrt.locking(handle, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            return False
        return True

    _lock_for_process = _lock

    def _release(path: Path, handle: int) -> None:
        msvcrt.locking(handle, msvcrt.LK_UNLCK, 1)
        os.close(handle)
        # Others that wait have it open, and the last of them removes it.
        with suppress(OSError):
            path.unlink()

else:

    def _lock(handle: int) -> bool:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _lock_for_process(handle: int) -> bool:
        # That of flock would be held by children, too: by a web server that -exec runs
        # and that outlives its daemon.
        try:
            fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in (errno.EACCES, errno.EAGAIN):
                return False
            raise
        return True

    def _release(path: Path, handle: int) -> None:
        # Before the lock is gone: the next holder's file must not be removed.
        try:
            path.unlink(missing_ok=True)
        finally:
            os.close(handle)
