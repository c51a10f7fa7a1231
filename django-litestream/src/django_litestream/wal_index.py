"""The lock in a database's wal-index that keeps SQLite from beginning the WAL anew.

A writer that would begin it anew, and a checkpoint that would empty it, first take all
of the locks that readers have (https://www.sqlite.org/walformat.html#locks). They are
locks of a process, which has them still when it has become another program.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from .descriptors import descriptors_of, make_room

if sys.platform != "win32":
    import fcntl

# The last of the readers' locks: SQLite gives readers the first that is free.
_READER_LOCK = 127


def hold(database: Path) -> int | None:
    """Keep the WAL of ``database`` from being begun anew while a descriptor is open.

    Returns the descriptor, which goes to the program that this process becomes. ``None``
    where the lock cannot be had or kept: where nobody has the database open, or this
    process has it open itself, as what closes one descriptor of a file lets go of all
    locks that its process has on it.
    """
    if sys.platform == "win32":
        return None
    index = database.with_name(f"{database.name}-shm")
    make_room()
    try:
        if list(descriptors_of(index.stat())):
            return None
        held = os.open(index, os.O_RDWR)
    except OSError:
        return None
    try:
        fcntl.lockf(held, fcntl.LOCK_SH | fcntl.LOCK_NB, 1, _READER_LOCK)
        os.set_inheritable(held, True)
    except OSError:
        os.close(held)
        return None
    return held
