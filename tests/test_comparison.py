"""Two copies of a database, page by page."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from django_litestream.comparison import Difference, compare

PAGE = 1024


@pytest.fixture
def one(tmp_path: Path) -> Path:
    """A database of many pages, some of which are on its freelist."""
    path = tmp_path / "one.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute(f"PRAGMA page_size={PAGE}")
        connection.execute("CREATE TABLE note (text)")
        connection.executemany("INSERT INTO note VALUES (?)", [("x" * 500,)] * 100)
        connection.execute("CREATE TABLE dropped AS SELECT * FROM note")
        connection.execute("DROP TABLE dropped")
        connection.commit()
    return path


@pytest.fixture
def other(one: Path) -> Path:
    return Path(shutil.copy(one, one.with_name("other.sqlite3")))


def write(path: Path, page: int, offset: int = 500) -> None:
    with path.open("r+b") as file:
        file.seek((page - 1) * PAGE + offset)
        file.write(b"another")


def pages(path: Path) -> int:
    return path.stat().st_size // PAGE


def freelist(path: Path) -> tuple[int, list[int]]:
    """Return the first trunk and its leaves."""
    content = path.read_bytes()

    def number(at: int) -> int:
        return int.from_bytes(content[at : at + 4])

    trunk = number(32)
    start = (trunk - 1) * PAGE
    leaves = [number(start + 8 + 4 * n) for n in range(number(start + 4))]
    return trunk, leaves


def test_copies_are_the_same(one: Path, other: Path) -> None:
    assert compare(one, other) is None


def test_so_is_what_sqlite_copied(one: Path) -> None:
    copied = one.with_name("copied.sqlite3")
    with (
        closing(sqlite3.connect(one)) as source,
        closing(sqlite3.connect(copied)) as target,
    ):
        source.backup(target)
    assert copied.read_bytes() != one.read_bytes()
    assert compare(copied, one) is None


def test_each_page_counts(one: Path, other: Path) -> None:
    _, leaves = freelist(one)
    data = [page for page in range(1, pages(one) + 1) if page not in leaves]
    for page in data:
        shutil.copy(one, other)
        write(other, page)
        assert compare(one, other) == Difference(first=page, pages=1, of=pages(one))


def test_what_is_on_a_leaf_of_the_freelist_does_not(one: Path, other: Path) -> None:
    trunk, leaves = freelist(one)
    assert leaves
    for leaf in leaves:
        write(other, leaf)
    assert compare(one, other) is None
    write(other, trunk, offset=8)
    assert compare(one, other) == Difference(first=trunk, pages=1, of=pages(one))


def test_a_page_that_one_of_them_lacks_is_found(one: Path, other: Path) -> None:
    last = pages(one)
    with one.open("ab") as file:
        file.write(bytes(2 * PAGE))
    expected = Difference(first=last + 1, pages=2, of=last + 2)
    assert compare(one, other) == compare(other, one) == expected
    assert str(expected) == f"2 of {last + 2} pages differ, page {last + 1} first"


def test_the_freelist_of_a_damaged_database_has_an_end(one: Path, other: Path) -> None:
    trunk, _ = freelist(one)
    with one.open("r+b") as file:
        file.seek((trunk - 1) * PAGE)
        file.write(trunk.to_bytes(4))
    assert compare(one, other) == Difference(first=trunk, pages=1, of=pages(one))
