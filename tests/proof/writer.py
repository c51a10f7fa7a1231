"""A program that commits rows to a ledger, and syncs them, until it is ended.

``python -m tests.proof.writer DATABASE JOURNAL [--socket SOCKET] ...``
"""

from __future__ import annotations

import argparse
import random
import signal
import sqlite3
import threading
from contextlib import closing
from pathlib import Path

from django_litestream.errors import LitestreamError
from django_litestream.sync import sync

from . import ledger
from .journal import Event, Writing

# How long a commit waits for another's lock and a sync for the replica, in seconds.
_PATIENCE = 20.0
# Between an attempt that failed and the next, in seconds.
_PAUSE_AFTER_FAILURE = 0.05


def main() -> None:
    arguments = _arguments()
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda number, frame: ended.set())
    journal = Writing(arguments.journal)
    threads = [
        threading.Thread(target=_write, args=(arguments, journal, ended), daemon=True)
    ]
    if arguments.socket:
        threads.append(
            threading.Thread(
                target=_sync, args=(arguments, journal, ended), daemon=True
            )
        )
    for thread in threads:
        thread.start()
    # The main thread has to be free for the signal.
    while not ended.wait(0.1):
        pass
    for thread in threads:
        thread.join()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("database", type=Path)
    parser.add_argument("journal", type=Path)
    parser.add_argument("--socket", type=Path)
    parser.add_argument("--pause", type=float, default=0.005)
    parser.add_argument("--sync-pause", type=float, default=0.1)
    parser.add_argument("--payload", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    return parser.parse_args()


def _write(
    arguments: argparse.Namespace, journal: Writing, ended: threading.Event
) -> None:
    chance = random.Random(arguments.seed)
    while not ended.is_set():
        try:
            with closing(_connect(arguments.database)) as connection:
                while not ended.wait(arguments.pause):
                    payload = chance.randbytes(chance.randrange(arguments.payload))
                    _commit(connection, journal, payload.hex())
        except sqlite3.Error as error:
            journal.add_failure(error)
            ended.wait(_PAUSE_AFTER_FAILURE)


def _connect(database: Path) -> sqlite3.Connection:
    # Not made where it is not there: a database that went away is a failure.
    uri = f"{database.absolute().as_uri()}?mode=rw"
    return sqlite3.connect(uri, uri=True, timeout=_PATIENCE, isolation_level=None)


def _commit(connection: sqlite3.Connection, journal: Writing, payload: str) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        row = ledger.following(ledger.newest(connection), payload)
        ledger.append(connection, row, payload)
        journal.add(Event.BEGAN, row)
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    journal.add(Event.COMMITTED, row)


def _sync(
    arguments: argparse.Namespace, journal: Writing, ended: threading.Event
) -> None:
    while not ended.wait(arguments.sync_pause):
        try:
            with closing(_connect(arguments.database)) as connection:
                row = ledger.newest(connection)
            sync(arguments.socket, arguments.database, wait=True, timeout=_PATIENCE)
        except (LitestreamError, sqlite3.Error) as error:
            journal.add_failure(error)
            ended.wait(_PAUSE_AFTER_FAILURE)
        else:
            if row != ledger.NOTHING:
                journal.add(Event.ACKNOWLEDGED, row)


if __name__ == "__main__":
    main()
