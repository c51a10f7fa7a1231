"""Proof that a database's newest commit can be restored from its replica.

A row is written into the database, replicated, restored and looked for. The row
is the only thing that stays behind, one per database.
"""

from __future__ import annotations

import json
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from django.db import Error as DatabaseError
from django.db.backends.utils import CursorWrapper

from . import databases
from .control import Daemon
from .databases import Database
from .errors import BackupBad, BackupUnchecked, DaemonError, DaemonUnavailable
from .invocation import Ask
from .marks import Mark, read_mark, write_mark
from .reasons import explain
from .verify_report import Report, Verdict

# How often a replica is looked at where no daemon can be asked, in seconds. A
# daemon with Litestream's defaults uploads once a second.
_POLL_INTERVAL = 0.5

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
            if self._daemon_answers():
                self._verify_with_daemon(report)
            else:
                self._verify_without_daemon(report)
        except BackupBad as error:
            report.verdict, report.reason = Verdict.BAD, str(error)
        except BackupUnchecked as error:
            report.verdict, report.reason = Verdict.UNCHECKED, str(error)
        except DatabaseError as error:
            report.verdict = Verdict.UNCHECKED
            report.reason = f"{database.path} cannot be read: {error}"
        else:
            report.verdict = Verdict.GOOD
        return report

    def _daemon_answers(self) -> bool:
        if self.socket is None:
            return False
        try:
            with Daemon(self.socket, timeout=self.timeout) as daemon:
                daemon.info()
        except DaemonUnavailable:
            return False
        except DaemonError as error:
            raise BackupUnchecked(str(error)) from error
        return True

    def _verify_with_daemon(self, report: Report) -> None:
        assert self.socket is not None
        database = report.database
        mark = self._mark(report)
        try:
            with (
                report.timed("synced"),
                Daemon(self.socket, timeout=self.timeout) as daemon,
            ):
                sync = daemon.sync(database.path, wait=True)
        except DaemonUnavailable as error:
            raise BackupUnchecked(str(error)) from error
        except DaemonError as error:
            kind = BackupUnchecked if error.status == 404 else BackupBad
            raise kind(
                f"The daemon cannot replicate it: {explain(str(error))}"
            ) from error
        report.txid = sync.replicated_txid
        if sync.replicated_txid < sync.txid:
            raise BackupBad(
                f"The replica is at TXID {sync.replicated_txid:016x}, the database at "
                f"{sync.txid:016x}: look at the daemon's log for why it does not "
                "replicate."
            )
        with self._restored(report) as restored:
            if not self._holds(report, restored, mark):
                raise BackupBad(
                    "The restored database lacks the newest commit, though the daemon "
                    "has replicated it: the daemon and these settings do not use the "
                    "same replica. Restart the daemon."
                )

    def _verify_without_daemon(self, report: Report) -> None:
        seen = self._newest_txid(report.database)
        moved = False
        mark = self._mark(report)
        deadline = time.monotonic() + self.timeout
        while True:
            with report.timed("waited for the replica"):
                newest = self._wait_past(report.database, seen, deadline)
            if newest is None:
                raise self._nothing_came(seen, moved=moved)
            moved, seen, report.txid = True, newest, newest
            with self._restored(report) as restored:
                if self._holds(report, restored, mark):
                    return

    def _nothing_came(self, txid: int, *, moved: bool) -> BackupBad | BackupUnchecked:
        daemon = (
            "the control socket is switched off"
            if self.socket is None
            else f"no daemon answers on {self.socket}"
        )
        if moved:
            return BackupBad(
                f"The newest commit did not reach the replica within {self.timeout:g} s: "
                f"{daemon}, and what replicates is behind."
            )
        if not txid:
            return BackupUnchecked(f"{_NO_BACKUP} Until now {daemon}.")
        return BackupUnchecked(
            f"The replica took nothing new within {self.timeout:g} s and {daemon}: start "
            "`manage.py litestream replicate`."
        )

    def _wait_past(self, database: Database, txid: int, deadline: float) -> int | None:
        while time.monotonic() < deadline:
            newest = self._newest_txid(database)
            if newest > txid:
                return newest
            time.sleep(min(_POLL_INTERVAL, max(0.0, deadline - time.monotonic())))
        return None

    def _mark(self, report: Report) -> Mark:
        database = report.database
        if not database.path.is_file():
            raise BackupUnchecked(
                f"{database.path} does not exist: restore it with `manage.py litestream "
                f"restore {database.label}`, or migrate it."
            )
        try:
            with report.timed("marked"), self._cursor(database) as cursor:
                return write_mark(cursor)
        except DatabaseError as error:
            raise BackupUnchecked(
                f"{database.path} cannot be written to ({error}): end what holds it, or "
                "let this user write."
            ) from error

    @contextmanager
    def _restored(self, report: Report) -> Iterator[Path]:
        """Restore into a directory that goes away with the block."""
        database = report.database
        with tempfile.TemporaryDirectory(prefix="litestream-verify-") as directory:
            needed = database.path.stat().st_size
            if shutil.disk_usage(directory).free < needed:
                raise BackupUnchecked(
                    f"Restoring needs {needed:,} bytes in {directory}, which has less: "
                    "point TMPDIR at a larger disk."
                )
            restored = Path(directory) / "restored.sqlite3"
            words = ["restore", "-o", os.fspath(restored), str(database.path)]
            with report.timed("restored"):
                status, _, reason = self.ask(words)
                if status != 0:
                    # A file may have been compacted away between the restore's
                    # listing and its reading.
                    status, _, reason = self.ask(words)
            if status != 0:
                if not self._newest_txid(database):
                    raise BackupUnchecked(_NO_BACKUP)
                raise BackupBad(f"The replica cannot be restored: {explain(reason)}")
            yield restored

    def _holds(self, report: Report, restored: Path, mark: Mark) -> bool:
        """Check the restored database's integrity and look for the mark."""
        try:
            with (
                report.timed("checked"),
                self._cursor(report.database, path=restored) as cursor,
            ):
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

    def _newest_txid(self, database: Database) -> int:
        """Return the highest TXID of any LTX file in the replica.

        Zero where there is none. Raises ``BackupUnchecked`` where the replica cannot
        be listed.
        """
        status, listed, reason = self.ask(
            ["ltx", "-json", "-level", "all", str(database.path)]
        )
        if status != 0:
            raise BackupUnchecked(f"The replica cannot be listed: {explain(reason)}")
        files = json.loads(listed or "null") or []
        return max((int(file["max_txid"], 16) for file in files), default=0)
