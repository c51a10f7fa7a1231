"""What Litestream 0.5.17 does not look at before it restores.

It restores to ``PATH.tmp``, which it makes empty whoever else writes to it. Of two
restores one then fails and the other ends with success, while at the path is a file that
is not whole yet, or that for ever has pages of two moments.

What SQLite keeps beside a database that was lost is left where it is, even by ``-force``
if the database itself is gone. Whoever opens what was restored then has SQLite write the
pages of the other life over it.

With ``-force`` it removes the database before it looks whether the replica has the moment
asked for, and whether that can be restored.

A daemon that replicates the path goes on with the file that was there before, and so does
an application: what is committed then is in neither the new file nor the replica.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from . import databases, one_daemon
from .configuration import Configuration
from .control import Daemon, ManagedDatabase
from .errors import ConfigurationError, DaemonError, RestoreRunning, RestoreUnsafe
from .locking import exclusive_with_children
from .subcommands import is_url

# What SQLite writes back into the database beside it. It makes the -shm anew by itself.
_WRITTEN_BACK = ("-wal", "-journal")

_BESIDE = (*_WRITTEN_BACK, "-shm")

_STOP_BOTH = (
    "would go on with the file that it has open, as would your application: stop both "
    "first, or restore elsewhere with -o PATH."
)

# How long a daemon is waited for, in seconds.
_PATIENCE = 2.0


@contextmanager
def only_one_restore(arguments: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Have no other process in this block that restores to the same path.

    Nor a connection of this thread to the file that is there, which would go on with it.
    ``arguments`` are the words of any subcommand. Gives the descriptors that the child
    which runs them has to inherit: where this process is killed, the child restores on,
    and nobody else may until it has ended. Raises ``RestoreRunning`` where somebody does,
    and ``RestoreUnsafe`` where that cannot be found out, and where something is left
    there of a lost database.
    """
    target = _target_of(arguments)
    if target is None:
        yield ()
        return
    with _lock(target) as inherited:
        if not _is_replaced(target, arguments):
            _refuse_what_is_left(target)
        # Not before: the last connection to a lost database takes its WAL with it.
        databases.close_connections(target)
        yield inherited


@contextmanager
def kept_until_restored(arguments: Sequence[str]) -> Iterator[None]:
    """Have the database that ``-force`` replaces back where this block restores none.

    ``arguments`` are the words of any subcommand. Until then it is in a directory beside
    its path. Raises ``RestoreUnsafe`` where it cannot be moved there.
    """
    target = _target_of(arguments)
    # Of a directory, or of one that nobody may write to, Litestream says what is wrong.
    if (
        target is None
        or not _is_replaced(target, arguments)
        or not os.path.isfile(target)
        or not os.access(target.parent, os.W_OK)
    ):
        yield
        return
    files = [target, *(target.with_name(f"{target.name}{end}") for end in _BESIDE)]
    with _set_aside(files, _aside(target)):
        try:
            yield
        except BaseException:
            _remove(files)
            raise


def refuse_if_replicated(
    arguments: Sequence[str], configuration: Configuration | None
) -> None:
    """Raise ``RestoreUnsafe`` where a daemon has the file restored to.

    ``arguments`` are the words of any subcommand, ``configuration`` is that of the
    settings, where there is one. A daemon that does not answer on its socket in time, or
    has another one, is known by its lock alone.
    """
    target = _target_of(arguments)
    if target is None:
        return
    socket = configuration.socket if configuration else None
    listed = [one for one in _listed(socket) if _place(one.path) == _place(target)]
    for one in listed:
        # A daemon that has not found the database yet takes the one that is restored.
        if one.status != "stopped" and (one.last_sync_at or os.path.exists(target)):
            raise RestoreUnsafe(
                f"The daemon on {socket} replicates {target}, and {_STOP_BOTH}"
            )
    lock = None if listed else one_daemon.lock_held(_metadata(target, configuration))
    if lock:
        raise RestoreUnsafe(
            f"A daemon keeps {lock} locked: it may replicate {target}, and {_STOP_BOTH}"
        )


def refuse_at_start(
    arguments: Sequence[str], entries: Sequence[Mapping[str, Any]]
) -> None:
    """Raise ``RestoreUnsafe`` where ``replicate`` would restore beside what is left.

    ``arguments`` are its words, ``entries`` the ``dbs`` of its configuration. Raises
    ``RestoreRunning`` where another process restores what it would.
    """
    of_all = "-restore-if-db-not-exists" in arguments
    restored = [
        entry["path"]
        for entry in entries
        if entry.get("path") and (of_all or entry.get("restore-if-db-not-exists"))
    ]
    # Among the words may be a database that is in no configuration.
    for path in map(Path, [*restored, *(arguments if of_all else ())]):
        if not os.path.exists(path):
            with _lock(path):
                _refuse_what_is_left(path)


def _target_of(arguments: Sequence[str]) -> Path | None:
    """Return the path that is written to, ``None`` where nothing is."""
    subcommand, *words = arguments
    if subcommand != "restore" or "-dry-run" in words or not words:
        return None
    written = words[words.index("-o") + 1] if "-o" in words[:-1] else words[-1]
    if is_url(written):
        return None
    target = Path(written)
    if not os.path.exists(target):
        return target
    # With -f a copy that is there is followed on.
    is_kept = target.stat().st_size and not {"-force", "-f"} & {*words}
    return None if is_kept or "-if-db-not-exists" in words else target


def _is_replaced(target: Path, words: Sequence[str]) -> bool:
    """Whether Litestream removes the database, and with it what is beside it."""
    return "-force" in words and "-f" not in words and os.path.exists(target)


@contextmanager
def _lock(target: Path) -> Iterator[tuple[int, ...]]:
    # Passing descriptors on is POSIX's. What is wrong with a path is Litestream's to say.
    if os.name != "posix" or not os.access(target.parent, os.W_OK):
        yield ()
        return
    file = target.with_name(f"{target.name}.restoring")
    with ExitStack() as held:
        try:
            lock = held.enter_context(exclusive_with_children(file))
        except OSError as error:
            raise RestoreUnsafe(
                f"{file} cannot be locked ({error.strerror}), to keep another restore "
                "away: delete it if no restore runs, or restore elsewhere with -o PATH."
            ) from error
        if lock is None:
            raise RestoreRunning(
                f"Another process restores to {target}: wait until it has ended, or "
                "restore elsewhere with -o PATH."
            )
        yield (lock,)


def _refuse_what_is_left(database: Path) -> None:
    aside = _aside(database)
    is_there = os.path.exists(database) and database.stat().st_size
    if os.path.isdir(aside) and not is_there:
        raise RestoreUnsafe(
            f"{aside} has the database that was here before a restore which did not end, "
            "and may hold commits that the backup lacks: move it back, or away and "
            "restore again."
        )
    for ending in _WRITTEN_BACK:
        left = database.with_name(f"{database.name}{ending}")
        if os.path.exists(left) and left.stat().st_size:
            raise RestoreUnsafe(
                f"{left} is left of a database that was here, and SQLite would write it "
                "over the restored one: move it away, as it may hold commits that the "
                "backup lacks, and restore again."
            )


def _aside(database: Path) -> Path:
    """Return the directory that a database is in while it is replaced."""
    return database.with_name(f"{database.name}.replaced")


def _listed(socket: Path | None) -> Sequence[ManagedDatabase]:
    if socket is None:
        return ()
    try:
        return Daemon(socket, timeout=_PATIENCE).databases()
    except DaemonError:
        return ()


def _metadata(database: Path, configuration: Configuration | None) -> Path:
    """Return where Litestream keeps what it knows of a database."""
    place = _place(database)
    # Of a pattern that finds no file, a daemon says what is wrong.
    with suppress(ConfigurationError):
        known = configuration.metadata() if configuration else {}
        return known.get(place) or databases.metadata_beside(place)
    return databases.metadata_beside(place)


def _place(file: Path) -> Path:
    """Return the absolute path of ``file``, which may be a link and is not followed."""
    return Path(os.path.realpath(file.parent), file.name)


@contextmanager
def _set_aside(files: Sequence[Path], directory: Path) -> Iterator[None]:
    """Have ``files`` in ``directory`` in this block, and gone once the first is anew.

    They are back where it fails, and where it ends well without that.
    """
    kept = [directory / file.name for file in files]
    try:
        directory.mkdir(mode=0o700)
    except FileExistsError as error:
        raise RestoreUnsafe(
            f"{directory} has the database that was here before a restore which did not "
            "end: move it away, and restore again."
        ) from error
    except OSError as error:
        raise RestoreUnsafe(
            f"{directory} cannot be made ({error.strerror}), to keep the database in "
            "until the restored one is there: move the database away, and restore again."
        ) from error
    is_replaced = False
    try:
        _move(files, directory)
        yield
        # With -if-replica-exists it is no failure to have restored nothing.
        is_replaced = os.path.lexists(files[0])
    finally:
        if is_replaced:
            _remove(kept)
        else:
            _move(kept[::-1], files[0].parent)
        directory.rmdir()


def _move(files: Sequence[Path], directory: Path) -> None:
    for file in files:
        if not _is_there(file):
            continue
        try:
            file.replace(directory / file.name)
        except OSError as error:
            raise RestoreUnsafe(
                f"{file} cannot be moved to {directory} ({error.strerror}): restore "
                "elsewhere with -o PATH."
            ) from error


def _remove(files: Sequence[Path]) -> None:
    for file in files:
        if _is_there(file):
            file.unlink()


def _is_there(file: Path) -> bool:
    """Whether there is a file or a link, which may lead nowhere from where it is now."""
    return file.is_symlink() or file.is_file()
