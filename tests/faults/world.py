"""A replicated ledger to which things happen, and the judgement of its backup."""

from __future__ import annotations

import json
import random
import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django_litestream.verify_report import Verdict

from ..project import Project, stop, wait_until
from ..proof import ledger
from ..proof.journal import Event, Journal, Writing
from ..proof.ledger import Row
from ..proof.oracle import judge
from ..proof.process import create_ledger, start_writer
from ..s3_server import S3Server
from ..test_placement import mounted
from .disks import disk
from .outcome import Outcome, missing_from
from .partition import Partition, partition_before

# How long `verify` waits for a lock and for the replica, in seconds: longer than
# Litestream's pauses after an error, which double up to 30 seconds, is told apart.
VERIFY_TIMEOUT = 4
RECOVERED_TIMEOUT = 45

# A file of Litestream's beside the database is of one of these.
SIDE_FILES = ("", "-wal", "-shm")


class KillableS3Server(S3Server):
    def kill(self) -> None:
        assert self._process is not None
        stop(self._process, signal.SIGKILL)
        self._process = None


@dataclass
class World:
    """A project with a ledger, its daemon, its writer and its storage.

    ``settings`` go into ``settings.LITESTREAM``. With ``s3`` the replica is on a
    server, behind a network that can be cut; else it is a directory. ``disk`` names
    what is on a small disk of its own: the ``replica``, the ``project``, or nothing;
    with ``is_ext4`` it is one that can fail.
    ``gone`` counts committed rows that the database has lost for good.
    """

    directory: Path
    chance: random.Random
    settings: dict[str, Any] = field(default_factory=dict)
    entry: dict[str, Any] = field(default_factory=dict)
    s3: bool = False
    disk: str = ""
    is_ext4: bool = False
    outcomes: list[Outcome] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.things = ExitStack()
        if self.disk:
            place = self.directory / "project"
            place.mkdir()
            if self.disk == "replica":
                place /= "replica"
                place.mkdir()
            if self.is_ext4:
                image = self.directory / "disk"
                self.failing_disk = self.things.enter_context(disk(image, place))
            else:
                self.things.enter_context(mounted(place, "size=24m"))
        self.project = Project(self.directory / "project")
        self._daemon = ExitStack()
        self.daemon: subprocess.Popen[bytes] | None = None
        self.writer: subprocess.Popen[bytes] | None = None
        self.may_have_a_phantom = False
        self.gone = 0
        self._past = Journal(())
        self._journals = 1
        self._restored = 0

    @property
    def database(self) -> Path:
        return self.project.database

    @property
    def replica(self) -> Path:
        """Where the files of the replica are, on a server too."""
        if self.s3:
            return self.server.directory / "bucket" / "ledger"
        return self.project.replica

    @property
    def metadata(self) -> Path:
        """Litestream's own directory beside the database."""
        return self.database.with_name(f".{self.database.name}-litestream")

    def build(self) -> None:
        entry = self.project.litestream["dbs"][0]
        if self.s3:
            self.server = KillableS3Server(self.directory / "s3")
            self.server.start()
            self.things.callback(self.server.stop)
            self.network: Partition = self.things.enter_context(
                partition_before(self.server.port)
            )
            self.project.environ |= self.server.environ
            entry["replica"] = {
                **self.server.replica("ledger"),
                "endpoint": f"http://127.0.0.1:{self.network.port}",
            }
        entry |= self.entry
        # Litestream goes on for half a minute where the last sync fails.
        self.project.litestream |= {"shutdown-sync-timeout": "2s", **self.settings}
        self.project.write_settings()
        create_ledger(self.database)
        if self.is_ext4:
            # What is lost is what comes later.
            self.failing_disk.sync()

    def end(self) -> None:
        if self.s3:
            self.network.heal()
        if self.writer is not None:
            self.stop_writer(signal.SIGKILL)
        if self.daemon is not None:
            self.stop_daemon(signal.SIGKILL)
        self.things.close()
        self.project.remove_private_files()

    # The daemon

    def start_daemon(self) -> None:
        self.daemon = self._daemon.enter_context(self.project.replicating())

    def start_daemon_that_cannot_sync(self) -> None:
        """Start the daemon and wait for no more than that it answers."""
        with (self.project.directory / "daemon.log").open("ab") as log:
            self.daemon = subprocess.Popen(
                self.project.command("litestream", "replicate"),
                cwd=self.project.directory,
                env=self.project.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._daemon.callback(stop, self.daemon)
        wait_until(lambda: self.project.run("info").returncode == 0)

    def stop_daemon(self, number: int = signal.SIGTERM) -> None:
        assert self.daemon is not None
        stop(self.daemon, number)
        self._daemon.close()
        self.daemon = None

    def restart_daemon(self) -> None:
        self.stop_daemon()
        self.start_daemon()

    # The writer

    @property
    def _journal_path(self) -> Path:
        return self.directory / f"journal-{self._journals}"

    @property
    def journal(self) -> Journal:
        """All that was written and is not forgotten."""
        return Journal((*self._past.entries, *Journal.read(self._journal_path).entries))

    def journal_acknowledged_by(self, moment: float) -> Journal:
        """Return the journal without what was acknowledged after ``moment``."""
        return Journal(
            tuple(
                entry
                for entry in self.journal.entries
                if entry.event is not Event.ACKNOWLEDGED or entry.time <= moment
            )
        )

    def start_writer(self, *options: str) -> None:
        self.writer = start_writer(
            self.database,
            self._journal_path,
            "--socket",
            str(self.project.socket),
            "--seed",
            str(self.chance.randrange(1 << 30)),
            *options,
        )

    def stop_writer(self, number: int = signal.SIGTERM) -> None:
        assert self.writer is not None
        stop(self.writer, number)
        self.writer = None
        self.may_have_a_phantom |= number == signal.SIGKILL

    def append_unsynced(self, count: int) -> None:
        """Commit rows as a writer does whose commits are not synced to the disk."""
        journal = Writing(self._journal_path)
        connection = sqlite3.connect(self.database, timeout=20, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA synchronous=NORMAL")
            for _ in range(count):
                connection.execute("BEGIN IMMEDIATE")
                row = ledger.following(ledger.newest(connection), "unsynced")
                ledger.append(connection, row, "unsynced")
                journal.add(Event.BEGAN, row)
                connection.execute("COMMIT")
                journal.add(Event.COMMITTED, row)

    def leave_a_phantom(self) -> None:
        """Leave what a writer does that is killed as it has written its commit.

        Its frames are in the WAL, and the wal-index does not say so yet: nobody
        who reads the database through SQLite will ever see them, and the next commit
        takes their place. They are made in a copy, where SQLite finds all of the WAL.
        """
        copy = self.directory / "killed.sqlite3"
        for side in ("", "-wal"):
            shutil.copyfile(f"{self.database}{side}", f"{copy}{side}")
        connection = sqlite3.connect(copy, isolation_level=None)
        with closing(connection):
            connection.execute("PRAGMA wal_autocheckpoint=0")
            connection.execute("BEGIN")
            row = ledger.following(ledger.newest(connection), "phantom" * 1000)
            ledger.append(connection, row, "phantom" * 1000)
            Writing(self._journal_path).add(Event.BEGAN, row)
            connection.execute("COMMIT")
            written = Path(f"{copy}-wal").read_bytes()
        # It is the same but for the frames of the row.
        with Path(f"{self.database}-wal").open("r+b") as file:
            file.write(written)

    def failures(self) -> str:
        """Return what the writer has failed with."""
        lines = self._journal_path.read_text().splitlines()
        return "\n".join(line for line in lines if line.startswith("#"))

    def count(self, event: Event) -> int:
        return len(self.journal.rows(event))

    def wait_for_more(self, event: Event, count: int = 1) -> None:
        """Wait until the writer has done ``event`` ``count`` times more."""
        wanted = self.count(event) + count
        wait_until(lambda: self.count(event) >= wanted)

    def write_on(self) -> None:
        """Have the writer run, and wait until a commit from now on is acknowledged."""
        if self.writer is None:
            self.start_writer()
        self.wait_for_more(Event.COMMITTED)
        newest = self.journal.newest(Event.COMMITTED)
        wait_until(
            lambda: self.journal.newest(Event.ACKNOWLEDGED).number >= newest.number
        )

    def pass_time(self, longest: float = 1.5) -> None:
        time.sleep(self.chance.uniform(0, longest))

    def newest_row(self) -> Row:
        with closing(sqlite3.connect(self.database, timeout=20)) as connection:
            return ledger.newest(connection)

    def execute(self, *statements: str) -> list[Any]:
        """Run statements by a connection of their own; return the last one's rows."""
        rows: list[Any] = []
        connection = sqlite3.connect(self.database, timeout=20, isolation_level=None)
        with closing(connection):
            for statement in statements:
                rows = connection.execute(statement).fetchall()
        return rows

    def wait_for_sync(self) -> None:
        """Wait until the replica holds all that was committed."""
        self.manage("sync", "-wait", "default")

    def newest_in_replica(self) -> str:
        """Return the name of the newest file of level 0."""
        return max(path.name for path in (self.replica / "ltx" / "0").glob("*.ltx"))

    # What users do

    def manage(self, *words: str) -> None:
        """Run ``manage.py litestream``, which must succeed."""
        completed = self.project.run(*words)
        assert completed.returncode == 0, completed.stderr

    def remove_database(self) -> None:
        for side in SIDE_FILES:
            Path(f"{self.database}{side}").unlink(missing_ok=True)

    def restore_in_place(self, moment: float | None = None) -> None:
        """Bring the database back, with the writer and the daemon stopped.

        To its newest state, or to that of ``moment``, a time of ``time.time()``.
        """
        self.remove_database()
        journal, words = self.journal, []
        if moment is not None:
            journal = journal.until(moment)
            words = ["-timestamp", datetime.fromtimestamp(moment, UTC).isoformat()]
        self.manage("restore", *words, "default")
        problems = judge(self.database, journal)
        assert not problems, problems
        restored = self.newest_row()
        # None of them was acknowledged by then, or it would be a problem.
        lost = self.journal.newest(Event.COMMITTED).number - restored.number
        self.gone += max(0, lost)
        self.forget_after(restored)

    def forget_after(self, row: Row) -> None:
        """Know from now on only of what was written up to ``row``."""
        self._past = self.journal.forget(row)
        self._journals += 1

    def checkpoint_between_daemons(self) -> None:
        """Have Litestream read the WAL from its beginning."""
        self.stop_daemon()
        [(busy, _, _)] = self.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        assert not busy
        self.start_daemon()

    def begin_anew(self) -> None:
        """Have a new backup made of the database, as for one that is bad."""
        self.stop_daemon()
        if self.replica.exists():
            shutil.move(self.replica, self.directory / f"old-{time.monotonic_ns()}")
        self.manage("reset", "default")
        self.start_daemon()

    def expect_good_or_force_a_snapshot(self, outcome: Outcome) -> None:
        """Have a snapshot made where ``verify`` has said that the backup is bad."""
        if outcome.verdict is not Verdict.GOOD:
            self.stop_daemon()
            self.manage("replicate", "-once", "-force-snapshot")
            self.start_daemon()

    def expect_good_or_begin_anew(self, outcome: Outcome) -> None:
        """Have a new backup made where ``verify`` has said that this one is bad."""
        if outcome.verdict is not Verdict.GOOD:
            self.begin_anew()

    # The judgement

    def outcome(self, timeout: int = VERIFY_TIMEOUT) -> Outcome:
        """Run ``verify``, judge what can be restored, and hold one to the other."""
        outcome = self._verify_and_judge(timeout)
        if not outcome.is_told_right and outcome.verdict is Verdict.BAD:
            # The daemon may have caught up just after `verify` gave up.
            outcome = self._verify_and_judge(RECOVERED_TIMEOUT)
        self.outcomes.append(outcome)
        assert outcome.is_told_right, (outcome, self.project.daemon_log())
        return outcome

    def _verify_and_judge(self, timeout: int) -> Outcome:
        committed = self.journal.newest(Event.COMMITTED)
        verified = self.project.run("verify", "-json", "-timeout", str(timeout))
        (report,) = json.loads(verified.stdout)
        assert verified.returncode == Verdict[report["status"].upper()]
        moment = time.time()
        restored, refusal = self.restored_copy()
        if refusal:
            problems, missing = [f"It cannot be restored: {refusal}"], []
        else:
            problems = judge(restored, self.journal_acknowledged_by(moment))
            missing = (
                [] if problems else missing_from(restored, self.database, committed)
            )
        return Outcome(
            verdict=Verdict(verified.returncode),
            told=report["reason"] or "",
            problems=problems,
            missing=missing,
        )

    def restored_copy(self) -> tuple[Path, str]:
        """Restore into a file of its own; return it, and why that was refused."""
        self._restored += 1
        copy = self.directory / f"restored-{self._restored}.sqlite3"
        completed = self.project.run("restore", "-o", str(copy), "default")
        return copy, completed.stderr if completed.returncode else ""


@contextmanager
def world(directory: Path, seed: int, **options: Any) -> Iterator[World]:
    """Have a world for the block, with its daemon and a writer running."""
    made = World(directory, random.Random(seed), **options)
    try:
        made.build()
        yield made
    finally:
        made.end()
