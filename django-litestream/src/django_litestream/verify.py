"""Proof that a database's newest commit can be restored from its replica.

A row is written into the database, replicated, restored and looked for. The row
is the only thing that stays behind, one per database.
"""

from __future__ import annotations

import os
import re
import shutil
import sqlite3
import stat
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import Error as DatabaseError
from django.db.backends.utils import CursorWrapper

from . import databases
from .comparison import Copy, compare, copy
from .control import Daemon
from .databases import Database
from .errors import (
    BackupBad,
    BackupUnchecked,
    DaemonError,
    DaemonUnavailable,
    ListingFailed,
)
from .invocation import Ask
from .marks import Mark, read_mark, write_mark
from .private_files import temporary_directory
from .reasons import explain, explain_os_error
from .verify_report import Report, Verdict
from .vfs.listing import read_listing

# How often the replica is looked at, in seconds. A daemon with Litestream's defaults
# uploads once a second.
_POLL_INTERVAL = 0.1

# Of the daemon, what it is, when it is too late for anything else; in seconds.
_LONGEST_QUESTION = 1.0

# Of the disk that is restored to: nothing else is written.
_NO_SPACE = re.compile("no space left on device|not enough space on the disk")

_NO_BACKUP = (
    "There is no backup where settings.LITESTREAM['dbs'] says it is: run `manage.py "
    "litestream replicate`, or correct the replica."
)


@dataclass(frozen=True, kw_only=True)
class Verifier:
    """Verifies databases through one Litestream configuration.

    ``ask`` runs subcommands with it. ``socket`` is the daemon's control socket,
    ``None`` where it is switched off. ``timeout`` (seconds) bounds the wait for a
    lock on the database and the wait for the replica, each.
    """

    ask: Ask
    socket: Path | None
    timeout: float = 30.0

    def verify(self, database: Database) -> Report:
        """Verify one database's backup; what is wrong is in the report."""
        report = Report(database=database)
        try:
            self._verify(report)
        except BackupBad as error:
            report.verdict, report.reason = Verdict.BAD, str(error)
        except BackupUnchecked as error:
            report.verdict, report.reason = Verdict.UNCHECKED, str(error)
        except DatabaseError as error:
            report.verdict = Verdict.UNCHECKED
            report.reason = f"{database.path} cannot be read: {error}"
        except OSError as error:
            report.verdict, report.reason = Verdict.UNCHECKED, explain_os_error(error)
        else:
            report.verdict = Verdict.GOOD
        return report

    def _verify(self, report: Report) -> None:
        database = report.database
        daemon_answers = self._daemon_answers(database)
        before = seen = self._newest_txid(database, level="all")
        moved = False
        mark = self._mark(report)
        with temporary_directory("verify") as directory:
            copied = self._copy(report, directory) if daemon_answers else None
            if copied:
                seen = copied.txid - 1
            deadline = time.monotonic() + self.timeout
            while True:
                with report.timed("replicated"):
                    newest = self._wait_past(database, seen, deadline)
                if newest is None:
                    if daemon_answers and (lost := self._lost(database)):
                        raise BackupBad(lost)
                    raise self._nothing_came(
                        before, moved=moved, daemon_answers=daemon_answers
                    )
                moved, seen, report.txid = True, newest, newest
                restored = directory / "restored.sqlite3"
                same = self._restore(report, restored, copied)
                if self._holds(report, restored, mark):
                    if copied and same:
                        self._compare(report, copied, restored)
                    return

    def _daemon_answers(self, database: Database) -> bool:
        if self.socket is None:
            return False
        try:
            daemon = Daemon(self.socket, timeout=self.timeout)
            managed = {one.path: one.status for one in daemon.databases()}
        except DaemonUnavailable:
            return False
        except DaemonError as error:
            raise BackupUnchecked(str(error)) from error
        status = managed.get(database.path)
        if status is None:
            raise BackupUnchecked(
                f"The daemon on {self.socket} does not replicate {database.path}: "
                "restart it after a change of settings.LITESTREAM['dbs']."
            )
        if status == "stopped":
            raise BackupBad(
                f"The daemon has stopped replicating {database.path}: run `manage.py "
                f"litestream start {database.label}`, or restart the daemon where that "
                "is refused."
            )
        return True

    def _lost(self, database: Database) -> str:
        assert self.socket is not None
        try:
            return Daemon(self.socket, timeout=_LONGEST_QUESTION).lost(database.path)
        except DaemonError:
            return ""

    def _nothing_came(
        self, txid: int, *, moved: bool, daemon_answers: bool
    ) -> BackupBad | BackupUnchecked:
        within = f"within {self.timeout:g} s"
        if self.socket is None:
            daemon = "the control socket is switched off"
        elif daemon_answers:
            daemon = f"a daemon answers on {self.socket}"
        else:
            daemon = f"no daemon answers on {self.socket}"
        if moved:
            return BackupBad(
                f"The newest commit did not reach the replica {within}, others did: "
                "what replicates is behind."
            )
        if not txid:
            return BackupUnchecked(f"{_NO_BACKUP} Nothing came {within}; {daemon}.")
        if daemon_answers:
            return BackupBad(
                f"The replica took nothing new {within}, though {daemon}: see its log, "
                "and restart it after a change of settings.LITESTREAM['dbs']."
            )
        return BackupUnchecked(
            f"The replica took nothing new {within} and {daemon}: start "
            "`manage.py litestream replicate`."
        )

    def _wait_past(self, database: Database, txid: int, deadline: float) -> int | None:
        while time.monotonic() < deadline:
            newest = self._newest_txid(database, level="0")
            if newest > txid:
                return newest
            time.sleep(min(_POLL_INTERVAL, max(0.0, deadline - time.monotonic())))
        return None

    def _mark(self, report: Report) -> Mark:
        database = report.database
        if not _is_file(database.path):
            raise BackupUnchecked(
                f"{database.path} does not exist: restore it with `manage.py litestream "
                f"restore {database.label}`, or migrate it."
            )
        try:
            with report.timed("marked"), self._cursor(database) as cursor:
                return write_mark(cursor)
        except DatabaseError as error:
            remedy = (
                "restore it from its replica"
                if databases.is_damaged(error.__cause__)
                else "end what holds it, or let this user write"
            )
            raise BackupUnchecked(
                f"{database.path} cannot be written to ({error}): {remedy}."
            ) from error

    def _copy(self, report: Report, directory: Path) -> Copy | None:
        """Copy the database to compare it, ``None`` where that cannot be done."""
        database = report.database
        assert self.socket is not None
        if shutil.disk_usage(directory).free < 2 * databases.size(database.path):
            report.not_compared = f"{directory.parent} has no space for a second copy"
            return None
        destination = directory / "copied.sqlite3"
        try:
            with report.timed("copied"), self._cursor(database) as cursor:
                return copy(
                    cursor,
                    database.path,
                    destination,
                    socket=self.socket,
                    timeout=self.timeout,
                )
        except (DatabaseError, DaemonError, DaemonUnavailable, sqlite3.Error) as error:
            report.not_compared = str(error)
            return None

    def _restore(self, report: Report, restored: Path, copied: Copy | None) -> bool:
        """Restore what was copied, or else the newest state; return whether it is that.

        The replica may have compacted away the file that ends with the copy's TXID.
        """
        database = report.database
        at_copy = [["-txid", f"{copied.txid:016x}"]] if copied else []
        status, reason = 1, ""
        # A file may be compacted away between a restore's listing and its reading.
        for moment in [*at_copy, [], []]:
            restored.unlink(missing_ok=True)
            needed = databases.size(database.path)
            if shutil.disk_usage(restored.parent).free < needed:
                raise BackupUnchecked(
                    f"Restoring needs {needed:,} bytes in {restored.parent}, which has "
                    "less: point TMPDIR at a larger disk."
                )
            words = ["restore", *moment, "-o", os.fspath(restored), str(database.path)]
            with report.timed("restored"):
                status, _, reason = self.ask(words)
            if status == 0:
                if copied and not moment:
                    report.not_compared = "the replica has compacted that transaction"
                return moment in at_copy
        if not self._newest_txid(database, level="all"):
            raise BackupUnchecked(_NO_BACKUP)
        if _NO_SPACE.search(reason):
            raise BackupUnchecked(f"Nothing could be restored: {explain(reason)}")
        raise BackupBad(f"The replica cannot be restored: {explain(reason)}")

    def _compare(self, report: Report, copied: Copy, restored: Path) -> None:
        with report.timed("compared"):
            difference = compare(copied.path, restored)
        if difference:
            raise BackupBad(
                "What was restored is sound, but not what the database was at that "
                f"transaction: {difference}. Stop the daemon, run `manage.py litestream "
                "replicate -once -force-snapshot`, and start it again."
            )
        report.compared = True

    def _holds(self, report: Report, restored: Path, mark: Mark) -> bool:
        """Check the restored database's integrity and look for the mark."""
        try:
            with (
                report.timed("checked"),
                self._cursor(report.database, path=restored) as cursor,
            ):
                # Halves the time of the check of a large database.
                cursor.execute(f"PRAGMA mmap_size={restored.stat().st_size}")
                cursor.execute("PRAGMA integrity_check(1)")
                problem = " ".join(str(cursor.fetchone()[0]).split())
                found = read_mark(cursor)
        except DatabaseError as error:
            raise BackupBad(f"The restored database cannot be read: {error}") from error
        if problem != "ok":
            raise BackupBad(
                f"The restored database fails SQLite's integrity check: {problem}"
            )
        return found == mark or self._is_later(report, found, mark)

    def _is_later(self, report: Report, found: Mark | None, mark: Mark) -> bool:
        """Whether another verification made ``found`` after ``mark``.

        A replica of another life of the database may hold a higher number too, but
        not one that the database itself has reached.
        """
        if found is None or found.number <= mark.number:
            return False
        with self._cursor(report.database) as cursor:
            newest = read_mark(cursor)
        return newest is not None and found.number <= newest.number

    @contextmanager
    def _cursor(
        self, database: Database, *, path: Path | None = None
    ) -> Iterator[CursorWrapper]:
        connection = databases.connect(database, path=path, timeout=self.timeout)
        with closing(connection), connection.cursor() as cursor:
            yield cursor

    def _newest_txid(self, database: Database, *, level: str) -> int:
        """Return the highest TXID of an LTX file of ``level`` in the replica.

        Zero where there is none. Raises ``BackupUnchecked`` where the replica cannot
        be listed.
        """
        status, listed, reason = self.ask(
            ["ltx", "-json", "-level", level, str(database.path)]
        )
        if status != 0:
            raise BackupUnchecked(f"The replica cannot be listed: {explain(reason)}")
        try:
            files = read_listing(listed)
        except ListingFailed as error:
            raise BackupUnchecked(f"The replica cannot be listed: {error}.") from error
        return max((file.max_txid for file in files), default=0)


def _is_file(path: Path) -> bool:
    """Whether there is a file; raises ``OSError`` where this user may not look.

    ``Path.is_file`` says of that on some versions of Python that there is none.
    """
    try:
        return stat.S_ISREG(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False
