"""For how long a replica has lacked what its primary has.

A poll tells how old a listing is, not how old what was listed is: a daemon that runs
and cannot upload leaves a replica that is polled with success and stands still. So does
one that cuts nothing, because it is stopped, stuck, frozen or dead, and what it has cut
stands still with the replica. What tells is when it was last seen to cut.
"""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from django.core.exceptions import ImproperlyConfigured

from . import config, databases
from .configuration import Configuration
from .control import Cut, Daemon
from .databases import Database
from .errors import ConfigurationError, DaemonError, LitestreamError
from .settings_problems import in_line

# What is said of a replica that is ahead of its primary's daemon.
FOREIGN = (
    "It has transactions that its primary's daemon never had, so it is of another life "
    "of the database, or of another one: restart what reads it, or correct its URL."
)

# What a daemon calls a database that it was told to stop.
_STOPPED = "stopped"

# So many transactions that a replica lacks are told apart: those of an hour.
_NOTED_AT_MOST = 3600

# The age of a daemon's last cut, in seconds, up to which it is not asked for more.
_RECENT = 3.0


class Distance:
    """The time that passes between a primary's transactions and a replica's."""

    def __init__(self) -> None:
        self._ahead: deque[tuple[int, float]] = deque()
        self._first = self._newest = 0

    def note(self, txid: int, since: float) -> None:
        """Note the newest transaction of the primary.

        ``since`` is the earliest that it can be of, by the monotonic clock. One that is
        lower than the last begins another life of the database.
        """
        if not self._first or txid < self._newest:
            self._ahead.clear()
            self._first = txid
        self._newest = txid
        if self._ahead and txid <= self._ahead[-1][0]:
            return
        if len(self._ahead) == _NOTED_AT_MOST:
            # As if it were as old as the one before: never younger than it is.
            _, since = self._ahead.pop()
        self._ahead.append((txid, since))

    def is_caught_up(self, txid: int) -> bool:
        """Whether a replica whose newest is ``txid`` has had what was noted first.

        How old that is nobody has seen, and so nor for how long it may be lacking.
        """
        return txid >= self._first

    def seconds(self, txid: int) -> float:
        """Return for how long a replica whose newest is ``txid`` has lacked one."""
        while self._ahead and self._ahead[0][0] <= txid:
            self._ahead.popleft()
        return time.monotonic() - self._ahead[0][1] if self._ahead else 0.0


@dataclass(frozen=True, kw_only=True)
class Look:
    """What a primary's daemon was found to do.

    ``txid`` is its newest transaction and ``cut`` what became of its last look at the
    WAL, ``None`` where it did not say. ``written_at`` is when the WAL was written to
    last, in the file system's nanoseconds. ``problem`` says why nothing more may be cut.
    """

    txid: int | None = None
    cut: Cut | None = None
    written_at: int | None = None
    problem: str = ""

    @property
    def seconds(self) -> float | None:
        """For how long nothing has been cut, by a clock that may be set."""
        if self.cut is None or self.cut.began_at is None or self.cut.error:
            return None
        return max(0.0, (datetime.now(UTC) - self.cut.began_at).total_seconds())


class Cuts:
    """The looks at one daemon, and what follows from all of them.

    ``seconds`` is for how long, at the last look, nothing was known to be cut: endless
    where nothing ever was. ``uncut_seconds`` is for how long the WAL has held what was
    written to it and no transaction has come of. ``problem`` is what the last look found.
    """

    def __init__(self) -> None:
        self.seconds = 0.0
        self.uncut_seconds = 0.0
        self.problem = ""
        self._seen: datetime | None = None
        self._known_at = -math.inf
        self._txid: int | None = None
        self._written_at: int | None = None
        self._uncut_since: float | None = None

    def note(self, look: Look | None) -> float:
        """Note a look; return the earliest that what is new in it can be of.

        Times are by the monotonic clock. ``None`` is a daemon that nobody expects.
        """
        now = time.monotonic()
        since = now if math.isinf(self._known_at) else self._known_at
        if look is None:
            self.seconds, self.uncut_seconds, self.problem = 0.0, 0.0, ""
            return since
        cut = look.cut
        if cut and cut.is_over and not cut.error and cut.began_at != self._seen:
            # That of a daemon which stopped long ago is new to a new process.
            ago = 0.0 if self._seen else look.seconds or 0.0
            self._seen, self._known_at = cut.began_at, now - ago
        self.seconds, self.problem = now - self._known_at, look.problem
        if look.txid is not None:
            self.uncut_seconds = self._note_written(look, now, since)
        return since

    def _note_written(self, look: Look, now: float, since: float) -> float:
        """Return for how long the WAL has held what no transaction has come of.

        A cut that has not failed is none of what Litestream passes over: what comes
        over frames that it has read and that were never committed, for example.
        """
        if look.txid != self._txid:
            self._txid, self._written_at = look.txid, look.written_at
            self._uncut_since = None
        elif look.written_at != self._written_at and self._uncut_since is None:
            self._uncut_since = since
        return 0.0 if self._uncut_since is None else now - self._uncut_since


def look_at_daemon(alias: str, timeout: float) -> Look | None:
    """Ask a database's daemon what it does; each question takes ``timeout`` at most.

    ``None`` where no daemon answers and none has to: where the settings are those of
    none, or switch its socket off, or the database is on another machine.
    """
    try:
        configuration = config.build()
        database = databases.find(alias)
    except (LitestreamError, ImproperlyConfigured):
        return None
    if configuration.socket is None:
        return None
    daemon = Daemon(configuration.socket, timeout=timeout)
    try:
        # The cut first: what was committed before it has a transaction after it. What
        # is written before the WAL is looked at is in this transaction, or the next.
        cut = daemon.last_cut(database.path)
        txid = daemon.txid(database.path)
        look = Look(txid=txid, cut=cut, written_at=_written_at(database))
        return replace(look, problem=_problem_of(daemon, database, look))
    except DaemonError as error:
        if not _is_expected(configuration, database):
            return None
        if error.status is None:
            return Look(problem=str(error))
        return Look(
            problem=f"The daemon on {daemon.socket} does not replicate "
            f"{in_line(database.path)} ({error}): restart it after a change of "
            "settings.LITESTREAM['dbs']."
        )


def _problem_of(daemon: Daemon, database: Database, look: Look) -> str:
    if look.cut and look.cut.error:
        return (
            f"The daemon cannot cut the WAL of {in_line(database.path)} "
            f"({look.cut.error}): see its log."
        )
    if look.seconds is not None and look.seconds < _RECENT:
        return ""
    # All its databases are listed, which may be many: so not where all is well.
    if any(
        one.path == database.path and one.status == _STOPPED
        for one in daemon.databases()
    ):
        return (
            f"The daemon has stopped replicating {in_line(database.path)}: run "
            f"`manage.py litestream start {in_line(database.label)}`, or restart the "
            "daemon where that is refused."
        )
    return ""


def _written_at(database: Database) -> int | None:
    try:
        return database.path.with_name(f"{database.path.name}-wal").stat().st_mtime_ns
    except OSError:
        return None


def _is_expected(configuration: Configuration, database: Database) -> bool:
    """Whether the database is one of the daemon's, and on this machine."""
    try:
        configuration.require(database)
        # Django leaves an empty file where it finds none.
        return database.path.stat().st_size > 0
    except (ConfigurationError, OSError):
        return False
