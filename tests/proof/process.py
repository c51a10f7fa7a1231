"""A writer as a process of its own."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from ..project import stop, wait_until
from . import ledger
from .journal import Event, Journal

_REPOSITORY = Path(__file__).parents[2]


def create_ledger(database: Path) -> None:
    """Make a database in WAL mode with an empty ledger, or add one to it."""
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        ledger.create(connection)


def start_writer(
    database: Path, journal: Path, *options: str
) -> subprocess.Popen[bytes]:
    """Start a writer with ``options`` of its command line."""
    words = [sys.executable, "-m", "tests.proof.writer", str(database), str(journal)]
    return subprocess.Popen(
        [*words, *options],
        cwd=_REPOSITORY,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"},
    )


@contextmanager
def writing(
    database: Path, journal: Path, *options: str
) -> Iterator[subprocess.Popen[bytes]]:
    """Have a writer run for the block, from its first new commit on."""
    before = len(Journal.read(journal).rows(Event.COMMITTED))
    writer = start_writer(database, journal, *options)
    try:
        wait_until(lambda: len(Journal.read(journal).rows(Event.COMMITTED)) > before)
        yield writer
    finally:
        stop(writer)
