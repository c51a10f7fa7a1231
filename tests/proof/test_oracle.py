"""The oracle finds whatever can be wrong with a copy, and nothing in a good one."""

from __future__ import annotations

import shutil
import signal
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest

from ..project import Project, stop, wait_until
from . import ledger
from .journal import Event, Journal, Writing
from .oracle import judge
from .process import create_ledger, start_writer, writing

ROWS = 50
ACKNOWLEDGED = 40


@dataclass
class Written:
    database: Path
    journal: Journal

    def change(self, *statements: str) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            for statement in statements:
                connection.execute(statement)
            connection.commit()


@pytest.fixture
def written(tmp_path: Path) -> Written:
    """A ledger of fifty rows, of which forty were acknowledged."""
    database, path = tmp_path / "db.sqlite3", tmp_path / "journal"
    create_ledger(database)
    journal = Writing(path)
    with closing(sqlite3.connect(database)) as connection:
        for number in range(1, ROWS + 1):
            payload = str(number) * 100
            row = ledger.following(ledger.newest(connection), payload)
            ledger.append(connection, row, payload)
            journal.add(Event.BEGAN, row)
            connection.commit()
            journal.add(Event.COMMITTED, row)
            if number == ACKNOWLEDGED:
                journal.add(Event.ACKNOWLEDGED, row)
    return Written(database, Journal.read(path))


def test_the_whole_ledger_is_good(written: Written) -> None:
    assert judge(written.database, written.journal) == []


def test_so_is_a_prefix_that_holds_what_was_acknowledged(written: Written) -> None:
    written.change(
        f"DELETE FROM ledger WHERE number > {ACKNOWLEDGED}",
        f"UPDATE tally SET rows = {ACKNOWLEDGED}",
    )
    assert judge(written.database, written.journal) == []


def test_a_prefix_that_lacks_what_was_acknowledged_is_not(written: Written) -> None:
    written.change(
        f"DELETE FROM ledger WHERE number >= {ACKNOWLEDGED}",
        f"UPDATE tally SET rows = {ACKNOWLEDGED - 1}",
    )
    (problem,) = judge(written.database, written.journal)
    assert problem.startswith(f"Row {ACKNOWLEDGED} ")


@pytest.mark.parametrize(
    ("statement", "told"),
    [
        ("DELETE FROM ledger WHERE number = 7", "After row 6 comes 8 "),
        ("DELETE FROM ledger WHERE number = 1", "After row 0 comes 2 "),
        ("UPDATE ledger SET payload = 'x' WHERE number = 9", "After row 8 comes 9 "),
        ("UPDATE tally SET rows = rows - 1", "The tally says 49"),
        ("DELETE FROM ledger WHERE number = 50", "The tally says 50"),
        ("DROP TABLE ledger", "It cannot be read: no such table: ledger"),
    ],
)
def test_what_is_missing_or_changed_is_named(
    written: Written, statement: str, told: str
) -> None:
    written.change(statement)
    assert judge(written.database, written.journal)[0].startswith(told)


def test_a_row_that_nobody_began_is_named(written: Written) -> None:
    with closing(sqlite3.connect(written.database)) as connection:
        row = ledger.following(ledger.newest(connection), "forged")
        ledger.append(connection, row, "forged")
        connection.commit()
    (problem,) = judge(written.database, written.journal)
    assert problem == f"The journal does not know row {row}."


def test_a_row_that_was_begun_may_be_there_or_not(written: Written) -> None:
    entries = written.journal.entries
    assert entries[-1].event is Event.COMMITTED
    assert judge(written.database, Journal(entries[:-1])) == []


def damage_a_page(database: Path) -> None:
    content = bytearray(database.read_bytes())
    content[4096:8192] = b"\0" * 4096
    database.write_bytes(content)


def cut_off(database: Path) -> None:
    database.write_bytes(database.read_bytes()[:-4096])


def overwrite(database: Path) -> None:
    database.write_bytes(b"not a database" * 1000)


def remove(database: Path) -> None:
    database.unlink()


@pytest.mark.parametrize("damage", [damage_a_page, cut_off, overwrite, remove])
def test_a_damaged_file_is_found(
    written: Written, damage: Callable[[Path], None]
) -> None:
    copy = written.database.with_name("copy.sqlite3")
    shutil.copy(written.database, copy)
    assert judge(copy, written.journal) == []
    damage(copy)
    assert judge(copy, written.journal)


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal"


@pytest.fixture
def ledger_project(project: Project) -> Project:
    create_ledger(project.database)
    return project


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_writer_that_is_ended_goes_on_where_it_was(
    ledger_project: Project, journal: Path, number: int
) -> None:
    for seed in range(3):
        with writing(
            ledger_project.database, journal, "--seed", str(seed), "--pause", "0"
        ) as writer:
            stop(writer, number)
    read = Journal.read(journal)
    assert len(read.rows(Event.COMMITTED)) > 3
    assert judge(ledger_project.database, read) == []


def test_what_was_acknowledged_is_restored(
    ledger_project: Project, journal: Path, tmp_path: Path
) -> None:
    project = ledger_project
    with project.replicating():
        socket = ("--socket", str(project.socket))
        writer = start_writer(project.database, journal, *socket)
        wait_until(lambda: len(Journal.read(journal).rows(Event.ACKNOWLEDGED)) > 3)
        stop(writer, signal.SIGKILL)
        # Without the daemon's last sync.
        restored = tmp_path / "restored.sqlite3"
        words = ("restore", "-o", str(restored), str(project.database))
        assert project.run(*words).returncode == 0
    assert judge(restored, Journal.read(journal)) == []
