"""Numbered rows, each with a checksum over all rows before it.

A copy of the ledger cannot lack, repeat, reorder or change a row without a checksum
that says so. Each commit also raises a tally in another table, on another page: a copy
whose tables are of two moments shows that by the two.
"""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass

_SCHEMA = """\
CREATE TABLE IF NOT EXISTS ledger (
    number INTEGER PRIMARY KEY, payload TEXT NOT NULL, checksum TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS tally (rows INTEGER NOT NULL);
INSERT INTO tally SELECT 0 WHERE NOT EXISTS (SELECT * FROM tally);
"""


@dataclass(frozen=True)
class Row:
    """A row of the ledger; its checksum stands for all rows up to it."""

    number: int
    checksum: str

    def __str__(self) -> str:
        return f"{self.number} {self.checksum}"


# What comes before the first row.
NOTHING = Row(0, "")


def following(row: Row, payload: str) -> Row:
    """Return the row that comes after ``row`` with this payload."""
    number = row.number + 1
    text = f"{row.checksum}\n{number}\n{payload}"
    return Row(number, hashlib.sha256(text.encode()).hexdigest())


def create(connection: sqlite3.Connection) -> None:
    """Make the ledger's tables where they are not there yet."""
    connection.executescript(_SCHEMA)


def newest(connection: sqlite3.Connection) -> Row:
    """Return the ledger's last row."""
    found = connection.execute(
        "SELECT number, checksum FROM ledger ORDER BY number DESC LIMIT 1"
    ).fetchone()
    return Row(*found) if found else NOTHING


def append(connection: sqlite3.Connection, row: Row, payload: str) -> None:
    """Add ``row`` in the transaction that is open."""
    connection.execute(
        "INSERT INTO ledger VALUES (?, ?, ?)", (row.number, payload, row.checksum)
    )
    connection.execute("UPDATE tally SET rows = ?", (row.number,))
