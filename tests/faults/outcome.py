"""What became of a backup by a fault."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from django_litestream import marks
from django_litestream.verify_report import Verdict

from ..proof import ledger
from ..proof.ledger import Row


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What became of a backup.

    ``told`` is what ``verify`` gave as its reason. ``problems`` are what the oracle
    found in the newest state that can be restored, ``missing`` what that lacks of
    what was committed before ``verify`` began, acknowledged or not.
    """

    verdict: Verdict
    told: str
    problems: list[str]
    missing: list[str]

    @property
    def holds(self) -> bool:
        """Whether the newest commit can be restored."""
        return not self.problems and not self.missing

    @property
    def is_told_right(self) -> bool:
        """Whether ``verify`` says good if and only if it is."""
        if self.verdict is Verdict.GOOD:
            return self.holds
        return self.verdict is Verdict.UNCHECKED or not self.holds


def missing_from(restored: Path, database: Path, committed: Row) -> list[str]:
    """Return what a restored database lacks of what its original has, a line each.

    ``committed`` is the row of the ledger that it has to hold.
    """
    with closing(sqlite3.connect(restored)) as copy:
        found = ledger.newest(copy)
        marked, rest = _mark(copy), _rest(copy)
    missing = []
    if found.number < committed.number:
        missing.append(f"Row {committed} was committed; {found} is the newest.")
    try:
        uri = f"{database.as_uri()}?mode=rw"
        with closing(sqlite3.connect(uri, uri=True)) as original:
            expected, whole = _mark(original), _rest(original)
    except sqlite3.Error as error:
        return [*missing, f"The database itself cannot be read: {error}"]
    if marked != expected:
        missing.append(f"The mark {expected} was committed; {marked} is there.")
    if rest != whole:
        missing.append(f"Other tables are {rest}; {whole} was committed.")
    return missing


def _mark(connection: sqlite3.Connection) -> Any:
    try:
        return connection.execute(f"SELECT token FROM {marks.TABLE}").fetchone()
    except sqlite3.OperationalError:
        return None


def _rest(connection: sqlite3.Connection) -> dict[str, str]:
    """Return what stands for all rows of each table that has no journal."""
    tables = connection.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")
    return {
        name: sha256(
            repr(connection.execute(f"SELECT * FROM {name}").fetchall()).encode()
        ).hexdigest()
        for (name,) in tables.fetchall()
        if name not in ("ledger", "tally") and not name.startswith("_litestream")
    }
