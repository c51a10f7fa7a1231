"""Commits that Litestream 0.5.17 would pass over when it is started again.

What is committed while Litestream does not run goes to the end of the WAL it knows.
Once SQLite has checkpointed that, the next commit begins the WAL anew, and overwrites
it from its beginning. If the end of what Litestream had read is still there, Litestream
goes on from the new beginning and never looks at what stood behind that end: its pages
stay as they were in every later backup, without a word. A WAL that is empty instead
has it take a snapshot, which holds everything.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from . import databases, wal_index
from .errors import ConfigurationError

# How long readers are waited for, and how long at a time, as writers wait with them.
_PATIENCE = 30.0
_LONGEST_LOCK = 0.5

# Where the two salts of a WAL are: in its own header
# (https://www.sqlite.org/fileformat2.html#the_write_ahead_log), and in the header of
# the LTX files that were cut from it (https://github.com/superfly/ltx).
_WAL_SALTS = slice(16, 24)
_LTX_SALTS = slice(64, 72)

# Where Litestream keeps its files, by their level, in the directory of a database's
# metadata. What has it forget a database, `reset`, removes this one too.
LEVELS = "ltx"


def hand_over(database: Path, metadata: Path | None = None) -> None:
    """Have Litestream see all commits of ``database``, if this process becomes it now.

    ``metadata`` is the directory of what Litestream keeps of the database, beside it by
    default. The WAL that Litestream has read is kept from being begun anew from now on
    until Litestream does so itself; another one is emptied. Where it cannot be kept it is
    emptied too, at the price of a snapshot. Raises what ``empty`` does.
    """
    held = wal_index.hold(database)
    if held is not None:
        if _known_salts(database, metadata) == _read(_wal(database), _WAL_SALTS):
            return
        os.close(held)
    empty(database, metadata)


def empty(database: Path, metadata: Path | None = None) -> None:
    """Empty the WAL of ``database`` if Litestream has replicated that before.

    To be called before Litestream opens the database. Waits for transactions that read,
    and raises ``ConfigurationError`` where one of them does not end, or where the
    database cannot be written to. One that is lost or damaged is left to Litestream,
    which says so, and replicates the others.
    """
    has_frames = bool(_read(_wal(database), _WAL_SALTS))
    if not (has_frames and database.exists()):
        return
    if _known_salts(database, metadata) is None:
        return
    try:
        emptied = _empty(database)
    except sqlite3.Error as error:
        if databases.is_damaged(error):
            return
        raise ConfigurationError(
            f"The WAL of {database} cannot be checkpointed ({error}), and Litestream "
            "would pass over what was committed while it did not run: end what holds "
            "it, or let this user write there."
        ) from error
    if not emptied:
        raise ConfigurationError(
            f"A transaction has been reading {database} for {_PATIENCE:g} s, and "
            "Litestream would pass over what was committed while it did not run: end "
            "that transaction, and start again."
        )


@contextmanager
def going_on(
    database: Path, metadata: Path | None = None, *, holds: bool
) -> Iterator[None]:
    """Have a running daemon start with ``database`` in this block, and pass nothing over.

    ``holds`` says whether its WAL is kept from being begun anew for as long, in a
    process that opens the database nowhere else.
    Raises ``ConfigurationError`` where it would: it takes a WAL that is empty for one
    that it has emptied itself, so nothing but its end helps.
    """
    held = wal_index.hold(database) if holds else None
    try:
        known = _known_salts(database, metadata)
        if known is not None and known != _read(_wal(database), _WAL_SALTS):
            raise ConfigurationError(
                f"The WAL of {database} was begun anew while the daemon did not "
                "replicate it, and `start` would pass over commits: restart `manage.py "
                "litestream replicate` instead."
            )
        yield
    finally:
        if held is not None:
            os.close(held)


def _wal(database: Path) -> Path:
    return database.with_name(f"{database.name}-wal")


def _known_salts(database: Path, metadata: Path | None) -> bytes | None:
    """Return the salts of the WAL that Litestream has read last.

    ``None`` where it has never seen the database, nothing where it has forgotten them.
    """
    metadata = metadata or databases.metadata_beside(database)
    if not metadata.is_dir():
        return None
    if _is_empty(metadata / LEVELS):
        # The lock of the first daemon is there, and Litestream has not come so far.
        return None
    files = sorted((metadata / LEVELS / "0").glob("*.ltx"))
    return _read(files[-1], _LTX_SALTS) if files else b""


def _is_empty(directory: Path) -> bool:
    try:
        return not os.listdir(directory)
    except OSError:
        return False


def _empty(database: Path) -> bool:
    uri = f"{database.absolute().as_uri()}?mode=rw"
    deadline = time.monotonic() + _PATIENCE
    with closing(sqlite3.connect(uri, uri=True, timeout=_LONGEST_LOCK)) as connection:
        while True:
            busy = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            if not busy or time.monotonic() > deadline:
                return not busy
            time.sleep(_LONGEST_LOCK)


def _read(file: Path, place: slice) -> bytes:
    """Return the bytes at ``place``; none where the file cannot be read or is shorter.

    Litestream cannot read it either, says so, and replicates the other databases.
    """
    try:
        with file.open("rb") as opened:
            return opened.read(place.stop)[place]
    except OSError:
        return b""
