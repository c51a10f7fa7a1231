"""A project whose database is replicated and read through the VFS.

With Litestream's own intervals, unlike in the tests.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from django_litestream import get_vfs_databases
from django_litestream.vfs.listing import list_files
from tests.project import Project, wait_until

MEGABYTE = 1_000_000
REPLICA = "replica"
ROOMY_REPLICA = "roomy_replica"
REPOSITORY = Path(__file__).parents[1]

_SETTINGS = """
INSTALLED_APPS += ["benchmarks"]
ROOT_URLCONF = "benchmarks.served"
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]
MIDDLEWARE = ["django_litestream.middleware.LitestreamMiddleware"]
"""

# Holds a database of 100 MB.
_ROOMY_CACHE = 200 * MEGABYTE
_LARGEST_TRANSACTION = 50_000
_BYTES_PER_ROW = 1_150
# Litestream compresses and writes a gigabyte for its first snapshot.
_PATIENCE = 600.0


@dataclass
class ReplicatedProject(Project):
    """``default``, a replica of it, and the same with a larger cache."""

    def __post_init__(self) -> None:
        replica = {"type": "file", "path": str(self.replica)}
        self.litestream = {
            "dbs": [{"path": "default", "replica": replica}],
            "vfs": {
                REPLICA: self.replica.as_uri(),
                ROOMY_REPLICA: {
                    "url": self.replica.as_uri(),
                    "cache_size": _ROOMY_CACHE,
                    "route": False,
                },
            },
        }
        self.databases = {
            "default": self.sqlite(self.database),
            **get_vfs_databases(self.litestream),
        }
        super().__post_init__()

    @property
    def import_path(self) -> str:
        """``PYTHONPATH`` of its processes."""
        return os.pathsep.join([os.fspath(self.directory), os.fspath(REPOSITORY)])

    def write_settings(self) -> None:
        super().write_settings()
        with (self.directory / "project_settings.py").open("a") as settings:
            settings.write(_SETTINGS)

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "PYTHONPATH": self.import_path}

    def wait_for_replica(self) -> None:
        """Wait until the daemon has written its first snapshot of the database."""
        url = self.replica.as_uri()
        wait_until(
            lambda: self.replica.exists() and list_files(url, _PATIENCE),
            seconds=_PATIENCE,
        )

    @contextmanager
    def process(self) -> Iterator[Callable[..., Any]]:
        """Give a new process with Django set up, in which functions are called."""
        with ProcessPoolExecutor(
            1,
            mp_context=get_context("spawn"),
            initializer=_set_up,
            initargs=(os.fspath(self.directory),),
        ) as processes:
            yield lambda function, *arguments: processes.submit(
                function, *arguments
            ).result()


@contextmanager
def replicated_project(directory: Path, megabytes: int) -> Iterator[ReplicatedProject]:
    """Give a project with a database of that size and a replica that has it all."""
    project = ReplicatedProject(directory)
    project.create_database()
    fill(project.database, megabytes * MEGABYTE)
    try:
        with project.replicating():
            project.wait_for_replica()
            yield project
    finally:
        project.remove_private_files()


def fill(database: Path, size: int) -> None:
    """Add rows that hardly compress until the file has ``size`` bytes.

    Nothing may replicate it meanwhile.
    """
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous = OFF")
        while (missing := size - database.stat().st_size) > 0:
            rows = min(missing // _BYTES_PER_ROW + 1, _LARGEST_TRANSACTION)
            with connection:
                connection.executemany(
                    "INSERT INTO note (text) VALUES (?)",
                    ((os.urandom(512).hex(),) for _ in range(rows)),
                )
            connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")


def some_keys(database: Path, count: int) -> list[int]:
    """Return the same keys each time, from all over the table."""
    with closing(sqlite3.connect(database)) as connection:
        (last,) = connection.execute("SELECT max(number) FROM note").fetchone()
    return random.Random(0).sample(range(1, last + 1), count)


def _set_up(directory: str) -> None:
    import django

    sys.path.insert(0, directory)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    django.setup()
