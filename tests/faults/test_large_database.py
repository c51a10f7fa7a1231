"""A database that grows past one gibibyte, where SQLite has its lock page."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
from contextlib import closing
from pathlib import Path

import pytest

from django_litestream.verify_report import Verdict

from ..proof.oracle import judge
from .world import world

pytestmark = pytest.mark.prove

LOCK_PAGE = 1 << 30
STEP = 16 << 20
# The database, its copies and those of its files that are there at the same time.
SPACE = 8 << 30
LONG = 1800


def test_a_database_that_crosses_a_gibibyte(tmp_path: Path, seed: int) -> None:
    if shutil.disk_usage(tmp_path).free < SPACE:
        pytest.skip(f"{tmp_path} has less than {SPACE:,} bytes")
    with world(tmp_path, seed) as growing:
        growing.start_daemon()
        growing.write_on()
        growing.execute("CREATE TABLE bulk (content BLOB)")
        while size(growing.database) < LOCK_PAGE + 2 * STEP:
            growing.execute(*[f"INSERT INTO bulk VALUES (randomblob({STEP >> 3}))"] * 8)
        growing.write_on()
        growing.stop_writer()
        copy = tmp_path / "restored.sqlite3"
        for words in (["verify", "-timeout", "300"], ["restore", "-o", str(copy)]):
            completed = subprocess.run(
                growing.project.command("litestream", *words, "default"),
                cwd=growing.project.directory,
                timeout=LONG,
                check=False,
            )
            assert completed.returncode == Verdict.GOOD
        assert judge(copy, growing.journal) == []
        assert size(copy) > LOCK_PAGE


def size(database: Path) -> int:
    """Return what SQLite makes of it; pages may be in its file and in its WAL."""
    with closing(sqlite3.connect(database, timeout=20)) as connection:
        [pages] = connection.execute("PRAGMA page_count").fetchone()
        [page_size] = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * page_size)
