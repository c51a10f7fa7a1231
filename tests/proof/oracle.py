"""Whether a copy of a ledger is what its journal allows.

A copy must pass SQLite's integrity check, hold the journal's rows from the first on
without a gap, and hold at least what was acknowledged.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

from .journal import Event, Journal
from .ledger import NOTHING, Row, following

type Ask = Callable[[str], Iterable[tuple[Any, ...]]]
"""Runs a query and returns its rows, all in one transaction of the caller's."""


def judge(database: Path, journal: Journal) -> list[str]:
    """Return what is wrong with a restored database, a line each."""
    uri = f"{database.absolute().as_uri()}?mode=ro"
    try:
        with closing(sqlite3.connect(uri, uri=True)) as connection:
            connection.execute("BEGIN")
            return [
                *_damage(connection.execute),
                *judge_view(connection.execute, journal),
                *lacks_acknowledged(connection.execute, journal),
            ]
    except sqlite3.Error as error:
        return [f"It cannot be read: {error}"]


def judge_view(ask: Ask, journal: Journal) -> list[str]:
    """Return what is wrong with a snapshot, which may be old: a line each.

    Rows that were committed before ``ask`` is given may be missing, but none in
    between, and none may be there that the journal does not know.
    """
    row, problems = NOTHING, []
    for number, payload, checksum in ask(
        "SELECT number, payload, checksum FROM ledger ORDER BY number"
    ):
        expected = following(row, payload)
        found = Row(number, checksum)
        if found != expected:
            problems.append(f"After row {row.number} comes {found}, not {expected}.")
            break
        row = found
    [(tally,)] = ask("SELECT rows FROM tally")
    if not problems and tally != row.number:
        problems.append(f"The tally says {tally}, the ledger ends with {row.number}.")
    if not problems and row != NOTHING and row not in journal.rows(Event.BEGAN):
        problems.append(f"The journal does not know row {row}.")
    return problems


def lacks_acknowledged(ask: Ask, journal: Journal) -> list[str]:
    """Return what is missing of what was acknowledged."""
    row = journal.newest(Event.ACKNOWLEDGED)
    if row == NOTHING:
        return []
    found = list(ask(f"SELECT checksum FROM ledger WHERE number = {row.number}"))
    if found == [(row.checksum,)]:
        return []
    return [f"Row {row} was acknowledged, and is not there: {found or 'nothing'}."]


def count_rows(ask: Ask) -> int:
    [(count,)] = ask("SELECT count(*) FROM ledger")
    return int(count)


def _damage(ask: Ask) -> list[str]:
    found = [str(line) for (line,) in ask("PRAGMA integrity_check")]
    return [] if found == ["ok"] else [f"Integrity check: {found[0]}"]
