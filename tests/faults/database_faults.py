"""What happens to the database, its file and Litestream's directory beside it."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from django_litestream.binaries import find_executable
from django_litestream.verify_report import Verdict

from ..project import stop
from ..proof.journal import Event
from .catalogue import Catalogue, Course
from .world import RECOVERED_TIMEOUT, World

files = Catalogue()
operations = Catalogue()


def _bring_back(world: World, moment: float | None = None) -> None:
    """Stop all, restore the database, and start the daemon, as after a disaster.

    ``moment``, a time of ``time.time()``, is what it is restored to if not the newest.
    """
    if world.writer is not None:
        # What one leaves that is killed is a fault of its own: see process_faults.
        world.stop_writer()
    world.stop_daemon()
    world.restore_in_place(moment)
    world.start_daemon()


@files.fault()
def database_deleted(world: World) -> Course:
    """The database and what is beside it are deleted under daemon and writer."""
    world.remove_database()
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD
    _bring_back(world)


@files.fault()
def database_file_deleted(world: World) -> Course:
    """The database's file alone is deleted under daemon and writer."""
    world.database.unlink()
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD
    _bring_back(world)


@files.fault()
def database_truncated(world: World) -> Course:
    """The database's file is cut off while daemon and writer have it open."""
    size = world.database.stat().st_size
    os.truncate(world.database, world.chance.randrange(size))
    yield
    _bring_back(world)


@files.fault()
def wal_truncated(world: World) -> Course:
    """The WAL is emptied while daemon and writer have it open."""
    os.truncate(f"{world.database}-wal", 0)
    yield
    _bring_back(world)


@files.fault()
def database_overwritten(world: World) -> Course:
    """A page of the database's file is overwritten while it is open."""
    with world.database.open("r+b") as file:
        file.seek(4096 * world.chance.randrange(1, 4))
        file.write(world.chance.randbytes(4096))
    yield
    _bring_back(world)


@files.fault()
def database_replaced(world: World) -> Course:
    """A copy of the database is moved to its place under the daemon."""
    world.stop_writer()
    copy = world.directory / "copy.sqlite3"
    with (
        closing(sqlite3.connect(world.database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    copy.replace(world.database)
    yield
    world.restart_daemon()


@files.fault()
def database_replaced_by_an_older_one(world: World) -> Course:
    """What the database was some time ago takes its place under daemon and writer.

    Its WAL stays, as where a user copies a single file over it. What Litestream takes
    from then on may be of the two files, so that what was before is to be restored.
    """
    copy = world.directory / "copy.sqlite3"
    with (
        closing(sqlite3.connect(world.database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    world.wait_for_more(Event.COMMITTED, 50)
    before = time.time()
    copy.replace(world.database)
    world.pass_time(1)
    outcome = yield
    assert outcome.verdict is Verdict.BAD
    _bring_back(world, before)


@files.fault()
def older_database_put_back(world: World) -> Course:
    """With the daemon stopped, the database is replaced by what it was before."""
    copy = world.directory / "copy.sqlite3"
    with (
        closing(sqlite3.connect(world.database)) as source,
        closing(sqlite3.connect(copy)) as target,
    ):
        source.backup(target)
    world.wait_for_more(Event.COMMITTED, 20)
    world.stop_writer()
    world.stop_daemon()
    world.remove_database()
    copy.replace(world.database)
    world.forget_after(world.newest_row())
    world.start_daemon()
    yield


@files.fault()
def restored_to_the_past(world: World) -> Course:
    """A user restores the database to an older transaction and goes on."""
    txid = Path(world.newest_in_replica()).stem.partition("-")[2]
    world.wait_for_more(Event.ACKNOWLEDGED)
    world.stop_writer()
    world.stop_daemon()
    world.remove_database()
    world.manage("restore", "-txid", txid, "default")
    world.forget_after(world.newest_row())
    world.start_daemon()
    yield


@files.fault()
def metadata_deleted(world: World) -> Course:
    """Litestream's directory beside the database is deleted under the daemon."""
    # At once: the daemon would put new files into a directory that is emptied.
    world.metadata.rename(world.directory / "metadata")
    yield
    world.restart_daemon()
    # A snapshot may be of a TXID that was only there: see test_txid_given_twice.
    world.write_on()
    world.expect_good_or_force_a_snapshot(world.outcome(RECOVERED_TIMEOUT))


@files.fault()
def metadata_deleted_between_daemons(world: World) -> Course:
    """Litestream's directory is deleted while no daemon runs, and rows are written."""
    world.stop_daemon(world.chance.choice([signal.SIGTERM, signal.SIGKILL]))
    shutil.rmtree(world.metadata)
    world.wait_for_more(Event.COMMITTED, 20)
    world.start_daemon()
    yield


@files.fault()
def local_files_damaged(world: World) -> Course:
    """The newest file in Litestream's directory is cut off, as by a power cut."""
    world.stop_daemon(signal.SIGKILL)
    newest = max((world.metadata / "ltx" / "0").glob("*.ltx"))
    content = newest.read_bytes()
    newest.write_bytes(content[: world.chance.randrange(len(content))])
    world.start_daemon_that_cannot_sync()
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD
    world.stop_daemon()
    world.manage("reset", "default")
    world.start_daemon()


@files.fault()
def reset_at_rest(world: World) -> Course:
    """The daemon is stopped and `litestream reset` run, and the replica stays."""
    world.stop_daemon()
    world.manage("reset", "default")
    yield
    world.start_daemon()


@operations.fault()
def vacuum(world: World) -> Course:
    """VACUUM, between two migrations that leave much to be freed."""
    _many_rows(world, "filler", 20_000)
    world.execute("DROP TABLE filler", "VACUUM")
    yield


@operations.fault()
def schema_migration(world: World) -> Course:
    """A table is made anew under another name, as Django's migrations do."""
    world.execute(
        "BEGIN IMMEDIATE",
        "CREATE TABLE new_ledger (number INTEGER PRIMARY KEY, payload TEXT NOT NULL,"
        " checksum TEXT NOT NULL, seen BOOLEAN NOT NULL DEFAULT 0)",
        "INSERT INTO new_ledger SELECT *, 1 FROM ledger",
        "ALTER TABLE ledger RENAME TO old_ledger",
        "CREATE VIEW old_names AS SELECT number FROM old_ledger",
        "DROP VIEW old_names",
        "DROP TABLE new_ledger",
        "ALTER TABLE old_ledger RENAME TO ledger",
        "CREATE INDEX by_checksum ON ledger (checksum)",
        "COMMIT",
    )
    yield
    world.execute("DROP INDEX by_checksum")


@operations.fault()
def page_size_changed(world: World) -> Course:
    """The pages become larger, which takes the database out of WAL mode."""
    world.stop_writer(signal.SIGTERM)
    world.stop_daemon()
    size = world.chance.choice([1024, 8192, 65536])
    world.execute(
        "PRAGMA journal_mode=DELETE",
        f"PRAGMA page_size={size}",
        "VACUUM",
        "PRAGMA journal_mode=WAL",
    )
    assert world.execute("PRAGMA page_size") == [(size,)]
    world.start_daemon()
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@operations.fault()
def large_transaction(world: World) -> Course:
    """200,000 rows in one transaction, with the writer waiting beside it."""
    _many_rows(world, "many", 200_000)
    yield
    assert world.execute("SELECT count(*) FROM many") == [(200_000,)]


def _many_rows(world: World, table: str, count: int) -> None:
    world.execute(
        "BEGIN IMMEDIATE",
        f"CREATE TABLE {table} AS WITH RECURSIVE one (number) AS"
        f" (SELECT 1 UNION ALL SELECT number + 1 FROM one WHERE number < {count})"
        " SELECT number, hex(randomblob(16)) AS text FROM one",
        "COMMIT",
    )


_CHECKPOINTS = """\
import sqlite3, sys
connection = sqlite3.connect(sys.argv[1], timeout=1, isolation_level=None)
for number in range(int(sys.argv[2])):
    mode = ("PASSIVE", "FULL", "RESTART", "TRUNCATE")[number % 4]
    try:
        connection.execute(f"PRAGMA wal_checkpoint({mode})").fetchone()
    except sqlite3.OperationalError:
        pass
"""


@operations.fault()
def checkpoints_by_others(world: World) -> Course:
    """Other processes checkpoint the WAL in every mode, over and over."""
    words = [sys.executable, "-c", _CHECKPOINTS, str(world.database), "8"]
    others = [subprocess.Popen(words) for _ in range(2)]
    for other in others:
        assert other.wait() == 0
    yield


@operations.fault()
def checkpoints_while_no_daemon_runs(world: World) -> Course:
    """The WAL is emptied and begun anew several times between two daemons."""
    world.stop_daemon(world.chance.choice([signal.SIGTERM, signal.SIGKILL]))
    for _ in range(3):
        world.wait_for_more(Event.COMMITTED, 10)
        world.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    world.start_daemon()
    yield


@operations.fault()
def two_daemons(world: World) -> Course:
    """A second daemon is started on the same database past all warnings."""
    words = ["replicate", str(world.database), world.replica.as_uri()]
    with (world.directory / "second.log").open("wb") as log:
        second = subprocess.Popen(
            [find_executable(), *words], stdout=log, stderr=subprocess.STDOUT
        )
    try:
        world.wait_for_more(Event.COMMITTED, 200)
        world.pass_time(3)
    finally:
        stop(second)
    outcome = yield
    world.expect_good_or_begin_anew(outcome)
