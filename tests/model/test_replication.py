"""A database that is replicated, restored and read, against a journal of its commits.

Whatever the order of the steps: what is restored is a prefix of the commits without a
gap and holds all that was acknowledged, at a moment in the past as well as now; a read
through the router has all that its client wrote, and nothing that was not committed.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path
from subprocess import Popen
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, event, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    initialize,
    precondition,
    rule,
    run_state_machine_as_test,
)

from django_litestream.sync import sync

from ..project import PATIENCE, stop
from ..proof import ledger
from ..proof.journal import Entry, Event, Journal
from ..proof.oracle import judge
from ..replica_world import Worker, replica_world
from .site import REPLICA, SETTINGS, judge_past, read_as, write_as

pytestmark = pytest.mark.prove

# How many times as many examples as by default.
EXAMPLES = "DJANGO_LITESTREAM_PROVE_EXAMPLES"

# Litestream tells moments apart by milliseconds.
APART = 0.02

payloads = st.builds(
    str.__mul__, st.sampled_from(["a", "bc", "\u00e9"]), st.sampled_from([1, 50, 3_000])
)
browsers = st.sampled_from(["one", "other"])
# Litestream compacts every thirty seconds by itself, which few examples take.
levels = st.sampled_from([{}, {"levels": [{"interval": "3s"}, {"interval": "9s"}]}])
# A replica is polled several times a second, and found to be healthy as often.
pauses = st.sampled_from([0.0, 0.3, 1.0])

# What was done in all examples: a model that does nothing proves nothing.
done: Counter[str] = Counter()


class Replication(RuleBasedStateMachine):
    """``committed`` and the journal are the model, all else is real."""

    moments: Bundle[float] = Bundle("moments")

    def __init__(self) -> None:
        super().__init__()
        print("An example begins.")
        self.entries: list[Entry] = []
        self.committed: list[tuple[int, str, str]] = []
        self.open: list[tuple[ledger.Row, str]] = []
        self.columns: list[int] = []
        self.own: Counter[str] = Counter()
        self.restored = 0
        self.stack = ExitStack()
        self.of_daemon = ExitStack()
        self.daemon: Popen[bytes] | None = None

    @initialize(target=moments, levels=levels)
    def begin(self, levels: dict[str, Any]) -> float:
        directory = self.stack.enter_context(tempfile.TemporaryDirectory())
        self.world = self.stack.enter_context(
            replica_world(Path(directory, "project"), **levels)
        )
        # For as long as an example may take.
        self.world.vfs["pin_seconds"] = 3_600
        self.world.more_settings = SETTINGS
        self.world.write_settings()
        self.writer = sqlite3.connect(
            self.world.database, timeout=PATIENCE, isolation_level=None
        )
        self.stack.callback(self.writer.close)
        ledger.create(self.writer)
        self.stack.callback(self.of_daemon.close)
        self.append("first")
        self.commit_what_is_open()
        self.start_daemon()
        self.worker: Worker = self.stack.enter_context(self.world.worker())
        return self.sync_all()

    def teardown(self) -> None:
        self.stack.close()

    # What is written

    @property
    def newest(self) -> ledger.Row:
        if self.open:
            return self.open[-1][0]
        number, _, checksum = self.committed[-1] if self.committed else (0, "", "")
        return ledger.Row(number, checksum)

    def log(self, what: Event, *rows: ledger.Row) -> None:
        self.entries += [Entry(time.time(), what, row) for row in rows]

    @property
    def journal(self) -> Journal:
        return Journal(tuple(self.entries))

    def step(self, what: str) -> None:
        done[what] += 1
        event(what)
        # Of every example: what comes once in a while need not come again.
        print(f"{time.time():.3f} {what}")

    @rule(payload=payloads, rows=st.sampled_from([1, 2, 20]))
    def write(self, payload: str, rows: int) -> None:
        self.step("write")
        for _ in range(rows):
            self.append(payload)

    def append(self, payload: str) -> None:
        if not self.open:
            self.writer.execute("BEGIN IMMEDIATE")
        row = ledger.following(self.newest, payload)
        # Migrations have added columns.
        self.writer.execute(
            "INSERT INTO ledger (number, payload, checksum) VALUES (?, ?, ?)",
            (row.number, payload, row.checksum),
        )
        self.writer.execute("UPDATE tally SET rows = ?", (row.number,))
        self.open.append((row, payload))

    @precondition(lambda self: self.open)
    @rule()
    def commit(self) -> None:
        self.step("commit")
        self.commit_what_is_open()

    def commit_what_is_open(self) -> None:
        self.log(Event.BEGAN, *(row for row, _ in self.open))
        self.writer.execute("COMMIT")
        self.log(Event.COMMITTED, *(row for row, _ in self.open))
        self.committed += [
            (row.number, payload, row.checksum) for row, payload in self.open
        ]
        self.open = []

    @precondition(lambda self: self.open)
    @rule()
    def rollback(self) -> None:
        self.step("rollback")
        self.writer.execute("ROLLBACK")
        self.open = []

    @precondition(lambda self: not self.open)
    @rule(browser=browsers, payload=payloads, pauses=st.lists(pauses, max_size=3))
    def request_that_writes(
        self, browser: str, payload: str, pauses: list[float]
    ) -> None:
        """Commit by a request, and look for it by others of the same browser."""
        self.step("request that writes")
        row = ledger.following(self.newest, payload)
        self.log(Event.BEGAN, row)
        found = self.worker.call(write_as, browser, row.number, payload, row.checksum)
        self.log(Event.COMMITTED, row)
        self.committed.append((row.number, payload, row.checksum))
        self.own[browser] = row.number
        assert found
        self.read(browser, pauses)

    @precondition(lambda self: not self.open)
    @rule()
    def migrate(self) -> None:
        """Change the schema, and note it in the same transaction."""
        self.step("migrate")
        self.append("migration")
        number = self.newest.number
        self.writer.execute(f"ALTER TABLE ledger ADD COLUMN added_{number} DEFAULT 1")
        self.writer.execute(f"CREATE INDEX index_{number} ON ledger (added_{number})")
        self.commit_what_is_open()
        self.columns.append(number)

    @precondition(lambda self: not self.open)
    @rule()
    def vacuum(self) -> None:
        self.step("vacuum")
        self.writer.execute("VACUUM")

    @precondition(lambda self: not self.open)
    @rule(mode=st.sampled_from(["PASSIVE", "TRUNCATE"]))
    def checkpoint(self, mode: str) -> None:
        self.step(f"checkpoint {mode}")
        # Litestream keeps a lock that lets no other truncate the WAL: not waited for.
        self.writer.execute("PRAGMA busy_timeout = 0")
        self.writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self.writer.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")

    # What is done to the daemon

    @precondition(lambda self: self.daemon is None)
    @rule()
    def start(self) -> None:
        self.step("start")
        self.start_daemon()

    def start_daemon(self) -> None:
        self.daemon = self.of_daemon.enter_context(self.world.replicating())

    @precondition(lambda self: self.daemon is not None)
    @rule(starts_again=st.booleans())
    def kill(self, starts_again: bool) -> None:
        self.step("kill")
        self.end_daemon(signal.SIGKILL)
        if starts_again:
            self.start_daemon()

    @precondition(lambda self: self.daemon is not None)
    @rule()
    def terminate(self) -> None:
        """End the daemon in the way that has it replicate all there is."""
        self.step("terminate")
        assert self.end_daemon(signal.SIGTERM) == 0, self.world.daemon_log()
        self.acknowledge()

    def end_daemon(self, number: int) -> int:
        assert self.daemon is not None
        status = stop(self.daemon, number)
        self.of_daemon.close()
        self.daemon = None
        return status

    def acknowledge(self, count: int | None = None) -> None:
        """Note that the replica must hold the first ``count`` rows, or all."""
        rows = self.committed[:count]
        if rows:
            number, _, checksum = rows[-1]
            self.log(Event.ACKNOWLEDGED, ledger.Row(number, checksum))

    @precondition(lambda self: self.daemon is not None)
    @rule(target=moments)
    def sync(self) -> float:
        self.step("sync")
        return self.sync_all()

    def sync_all(self) -> float:
        """Have all commits replicated; return a moment at which they are."""
        sync(self.world.socket, self.world.database, wait=True, timeout=PATIENCE)
        self.acknowledge()
        time.sleep(APART)
        moment = time.time()
        time.sleep(APART)
        return moment

    @precondition(lambda self: self.daemon is not None and not self.open)
    @rule()
    def verify(self) -> None:
        self.step("verify")
        verified = self.world.run("verify")
        assert verified.returncode == 0, verified.stderr
        self.acknowledge()

    # What is read

    @rule()
    def restore(self) -> None:
        self.step("restore")
        self.judge_restored(self.journal)

    @rule(moment=moments)
    def restore_to_a_time(self, moment: float) -> None:
        self.step("restore to a time")
        utc = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(moment))
        self.judge_restored(
            self.journal.until(moment),
            "-timestamp",
            f"{utc}.{moment % 1 * 1000:03.0f}Z",
        )

    def judge_restored(self, journal: Journal, *flags: str) -> None:
        self.restored += 1
        path = self.world.directory / f"restored-{self.restored}.sqlite3"
        run = self.world.run("restore", *flags, "-o", str(path), "default")
        assert run.returncode == 0, run.stderr
        assert judge(path, journal) == []
        with sqlite3.connect(path) as connection:
            newest = ledger.newest(connection).number
            columns = [
                int(name.removeprefix("added_"))
                for _, name, *_ in connection.execute("PRAGMA table_info(ledger)")
                if name.startswith("added_")
            ]
        connection.close()
        assert columns == [number for number in self.columns if number <= newest]

    @rule(moment=moments)
    def travel(self, moment: float) -> None:
        self.step("time travel")
        assert self.worker.call(judge_past, moment, self.journal) == []

    @rule(browser=browsers, pauses=st.lists(pauses, min_size=1, max_size=4))
    def route_reads(self, browser: str, pauses: list[float]) -> None:
        self.read(browser, pauses)

    def read(self, browser: str, pauses: list[float]) -> None:
        for pause in pauses:
            time.sleep(pause)
            read = self.worker.call(read_as, browser)
            self.step(f"read from {read.alias}")
            assert read.rows == self.committed[: len(read.rows)]
            assert len(read.rows) >= self.own[browser], read.alias


def test_replication() -> None:
    done.clear()
    run_state_machine_as_test(
        Replication,
        settings=settings(
            max_examples=5 * int(os.environ.get(EXAMPLES, "1")),
            stateful_step_count=25,
            deadline=None,
            # An example takes too long for making it smaller.
            phases=[Phase.explicit, Phase.reuse, Phase.generate],
            print_blob=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    print(dict(done))
    assert done[f"read from {REPLICA}"]
