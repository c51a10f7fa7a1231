"""What goes wrong during a soak."""

from __future__ import annotations

import random
import secrets
import signal
import sqlite3
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field

from tests.proof import ledger
from tests.proof.journal import Event, Writing

from .processes import kill
from .stage import LEDGERS, Stage

_LONGEST_OUTAGE = 8.0
_LONGEST_PAUSE = 6.0
_ROWS_OF_A_BIG_TRANSACTION = 5_000
_BYTES_OF_PAYLOAD = 100
# How long a statement waits for others' locks, in seconds.
_PATIENCE = 30.0

type Fault = Callable[[Faults], None]


@dataclass
class Faults:
    """Has one of the ``kinds`` happen every few seconds, and counts them.

    ``failed`` are faults that could not be made, as where a lock was not had in time.
    """

    stage: Stage
    chance: random.Random
    kinds: Sequence[str]
    done: Counter[str] = field(default_factory=Counter)
    failed: list[str] = field(default_factory=list)
    log: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._journals = {name: Writing(self.stage.journal(name)) for name in LEDGERS}

    @contextmanager
    def happening(self) -> Iterator[None]:
        """Have faults happen for the block; what was frozen goes on behind it."""
        is_over = threading.Event()

        def go_on() -> None:
            while not is_over.wait(self.chance.uniform(1, _LONGEST_PAUSE)):
                self._make(self.chance.choice(self.kinds))

        with ThreadPoolExecutor(1) as thread:
            going_on = thread.submit(go_on) if self.kinds else None
            try:
                yield
            finally:
                is_over.set()
                if going_on:
                    # It raises what making a fault has raised.
                    going_on.result()

    def _make(self, kind: str) -> None:
        self.log.append(f"{time.time():.3f} {kind}")
        try:
            KINDS[kind](self)
        except sqlite3.OperationalError as error:
            self.failed.append(f"{kind}: {error}")
        else:
            self.done[kind] += 1

    def connect(self, name: str | None = None) -> sqlite3.Connection:
        """Connect to a ledger's database, to any one's without a name."""
        database = self.stage.database(name or self.chance.choice(LEDGERS))
        return sqlite3.connect(database, timeout=_PATIENCE, isolation_level=None)

    def append(self, name: str, count: int) -> None:
        """Append rows to a ledger in one transaction."""
        journal, rows = self._journals[name], []
        with closing(self.connect(name)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            row = ledger.newest(connection)
            for _ in range(count):
                payload = secrets.token_hex(_BYTES_OF_PAYLOAD)
                row = ledger.following(row, payload)
                ledger.append(connection, row, payload)
                journal.add(Event.BEGAN, row)
                rows.append(row)
            connection.execute("COMMIT")
        for row in rows:
            journal.add(Event.COMMITTED, row)

    def wait_out(self) -> None:
        time.sleep(self.chance.uniform(0.5, _LONGEST_OUTAGE))


def kill_daemon(faults: Faults) -> None:
    faults.stage.daemon.send(signal.SIGKILL)


def terminate_daemon(faults: Faults) -> None:
    faults.stage.daemon.send(signal.SIGTERM)


def reload_gunicorn(faults: Faults) -> None:
    faults.stage.gunicorn.send(signal.SIGHUP)


def kill_worker(faults: Faults) -> None:
    if workers := faults.stage.workers:
        kill(faults.chance.choice(workers))


def kill_storage(faults: Faults) -> None:
    server = faults.stage.server
    server.kill()
    faults.wait_out()
    server.start()


def freeze_storage(faults: Faults) -> None:
    server = faults.stage.server
    server.freeze()
    faults.wait_out()
    server.thaw()


def checkpoint(faults: Faults) -> None:
    with closing(faults.connect()) as connection:
        # As much of it as the daemon's lock lets it.
        connection.execute("PRAGMA busy_timeout = 1000")
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def vacuum(faults: Faults) -> None:
    with closing(faults.connect()) as connection:
        connection.execute("VACUUM")


def write_a_lot(faults: Faults) -> None:
    """Commit thousands of rows at once."""
    faults.append(faults.chance.choice(LEDGERS), _ROWS_OF_A_BIG_TRANSACTION)


def alter_table(faults: Faults) -> None:
    """Change the ledger's table as Django's migrations do: by a copy of it."""
    with closing(faults.connect()) as connection:
        connection.execute("BEGIN IMMEDIATE")
        connection.execute(
            "CREATE TABLE new__ledger (number INTEGER PRIMARY KEY, "
            "payload TEXT NOT NULL, checksum TEXT NOT NULL)"
        )
        connection.execute(
            "INSERT INTO new__ledger SELECT number, payload, checksum FROM ledger"
        )
        connection.execute("DROP TABLE ledger")
        connection.execute("ALTER TABLE new__ledger RENAME TO ledger")
        connection.execute("ALTER TABLE tally ADD COLUMN note TEXT")
        connection.execute("ALTER TABLE tally DROP COLUMN note")
        connection.execute("COMMIT")


KINDS: dict[str, Fault] = {
    "daemon killed": kill_daemon,
    "daemon terminated": terminate_daemon,
    "gunicorn reloaded": reload_gunicorn,
    "worker killed": kill_worker,
    "storage killed": kill_storage,
    "storage frozen": freeze_storage,
    "checkpoint": checkpoint,
    "VACUUM": vacuum,
    "big transaction": write_a_lot,
    "ALTER TABLE": alter_table,
}
