"""Databases that are replicated, and processes that read the replicas.

The VFS sees the environment that its process was started with, keeps what a process
once opened until its end and writes to its standard output: so a test has functions of
its module called in processes of their own.
"""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from django.db.models import Max

from django_litestream.control import Daemon

from .project import PATIENCE, Project, stop, wait_until
from .replica_app.models import Note

REPOSITORY = Path(__file__).parents[1]

# Several times in the interval at which these tests have replicas polled.
PAUSE_BETWEEN_ROWS = 0.05

_SETTINGS = """\
from django_litestream import get_vfs_databases

SECRET_KEY = "only for tests"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
INSTALLED_APPS = {apps!r}
ROOT_URLCONF = "project_urls"
ALLOWED_HOSTS = ["*"]
LITESTREAM = {litestream!r}
DATABASES = {{**{databases!r}, **get_vfs_databases()}}
{more}
"""


@dataclass
class ReplicaWorld(Project):
    """A project with ``tests.replica_app``, whose databases have ``file`` replicas.

    Each of ``aliases`` is a database, ``<alias>_replica`` the alias that reads its
    replica; further ones can be put into ``vfs``.
    """

    aliases: tuple[str, ...] = ("default",)
    apps: list[str] = field(
        default_factory=lambda: ["django_litestream", "tests.replica_app"]
    )
    more_settings: str = ""

    def __post_init__(self) -> None:
        self.databases = {
            alias: {
                **self.sqlite(self.database_of(alias)),
                "OPTIONS": {"init_command": "PRAGMA journal_mode=WAL", "timeout": 30},
            }
            for alias in self.aliases
        }
        self.litestream = {
            "dbs": [
                self.entry(alias, self.replica_of(alias)) for alias in self.aliases
            ],
            "vfs": {
                f"{alias}_replica": {
                    "url": self.replica_of(alias).as_uri(),
                    "primary": alias,
                    "poll_interval": "200ms",
                }
                for alias in self.aliases
            },
            # That of the world it may be a copy of is left alone.
            **deepcopy(self.litestream),
        }
        super().__post_init__()

    @property
    def vfs(self) -> dict[str, Any]:
        """``settings.LITESTREAM['vfs']``."""
        replicas: dict[str, Any] = self.litestream["vfs"]
        return replicas

    @property
    def database(self) -> Path:
        return self.database_of("default")

    def database_of(self, alias: str) -> Path:
        return self.directory / f"{alias}.sqlite3"

    def replica_of(self, alias: str) -> Path:
        return self.directory / f"{alias}-replica"

    def write_settings(self) -> None:
        content = _SETTINGS.format(
            apps=self.apps,
            litestream=self.litestream,
            databases=self.databases,
            more=self.more_settings,
        )
        (self.directory / "project_settings.py").write_text(content)

    def environment(self) -> dict[str, str]:
        """Nothing of Litestream's or its storage's but what is in ``environ``."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("AWS_", "LITESTREAM_"))
        }
        return {**inherited, "PYTHONPATH": os.fspath(REPOSITORY), **self.environ}

    def migrate(self) -> None:
        for alias in self.aliases:
            migrated = self.manage("migrate", "--database", alias, "--verbosity", "0")
            assert migrated.returncode == 0, migrated.stderr

    def write_note(self, alias: str = "default", count: int = 1) -> float:
        """Commit notes; return the time when that was done."""
        database = self.database_of(alias)
        connection = sqlite3.connect(database, timeout=PATIENCE)
        with closing(connection), connection:
            connection.executemany(
                "INSERT INTO replica_app_note (source, written_at) VALUES (?, ?)",
                [(alias, time.time())] * count,
            )
        return time.time()

    def wait_until_replicated(self, alias: str = "default") -> None:
        """Wait until the replica has all that was committed."""
        txid = Daemon(self.socket).sync(self.database_of(alias)).txid
        wait_until(lambda: self.newest_in_replica(alias) >= txid)

    def newest_in_replica(self, alias: str = "default") -> int:
        """Return the newest transaction that the replica has."""
        files = self.replica_of(alias).glob("ltx/0/*.ltx")
        return max((int(file.stem.partition("-")[2], 16) for file in files), default=0)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Have notes written to every database for the length of the block."""
        is_over = threading.Event()

        def write(alias: str) -> None:
            while not is_over.wait(PAUSE_BETWEEN_ROWS):
                self.write_note(alias)

        writers = [
            threading.Thread(target=write, args=(alias,)) for alias in self.aliases
        ]
        for writer in writers:
            writer.start()
        try:
            yield
        finally:
            is_over.set()
            for writer in writers:
                writer.join()

    @contextmanager
    def worker(self) -> Iterator[Worker]:
        """Give a process with the project set up; it ends by itself."""
        ours, theirs = Pipe()
        with (self.directory / "worker.log").open("ab") as log, theirs:
            process = subprocess.Popen(
                [
                    sys.executable,
                    "-m",
                    f"{__package__}.replica_worker",
                    str(theirs.fileno()),
                ],
                cwd=self.directory,
                env=self.environment(),
                pass_fds=[theirs.fileno()],
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            with ours:
                yield Worker(ours, self)
            assert process.wait(timeout=PATIENCE) == 0, self.worker_log()
        finally:
            stop(process)

    def worker_log(self) -> str:
        return (self.directory / "worker.log").read_text(errors="replace")


@dataclass(frozen=True)
class Worker:
    """A process that calls functions, in its main thread."""

    orders: Connection
    world: ReplicaWorld

    def call[**P, R](
        self, function: Callable[P, R], *arguments: P.args, **none: P.kwargs
    ) -> R:
        """Return what a module's function returns there, or raise what it raises."""
        self.begin(function, *arguments, **none)
        result: R = self.result()
        return result

    def begin[**P, R](
        self, function: Callable[P, R], *arguments: P.args, **none: P.kwargs
    ) -> None:
        """Have a function called; ``result`` tells what has come of it."""
        assert not none
        self.orders.send((function, arguments))

    def result(self, seconds: float = PATIENCE) -> Any:
        assert self.orders.poll(seconds), f"no answer: {self.world.worker_log()}"
        try:
            result, error = self.orders.recv()
        except EOFError:
            raise AssertionError(self.world.worker_log()) from None
        if error is not None:
            raise error
        return result


@contextmanager
def replica_world(
    directory: Path, *aliases: str, **settings: Any
) -> Iterator[ReplicaWorld]:
    """Give a world of migrated databases that nothing replicates yet.

    ``settings`` go into ``settings.LITESTREAM``.
    """
    world = ReplicaWorld(
        directory, aliases=aliases or ("default",), litestream=settings
    )
    world.migrate()
    try:
        yield world
    finally:
        world.remove_private_files()


def count_notes(alias: str) -> int:
    return Note.objects.using(alias).count()


def wait_for_notes(alias: str, count: int, seconds: float = PATIENCE) -> float:
    """Wait until ``alias`` has ``count`` notes; return the time when it had."""
    deadline = time.monotonic() + seconds
    while (found := count_notes(alias)) < count:
        assert time.monotonic() < deadline, f"{alias} has {found} notes, not {count}"
        time.sleep(0.02)
    assert found == count
    return time.time()


def missing_for(replica: str, primary: str) -> float:
    """Return how long ago the oldest row was written that a replica does not show."""
    newest = Note.objects.using(replica).aggregate(newest=Max("pk"))["newest"] or 0
    read_at = time.time()
    missing = (
        Note.objects.using(primary)
        .filter(pk__gt=newest, written_at__lt=read_at)
        .order_by("pk")
        .first()
    )
    return 0.0 if missing is None else read_at - missing.written_at


def in_threads[T](count: int, function: Callable[[int], T]) -> list[T]:
    """Call a function with each of ``range(count)``, in a thread of its own each."""
    with ThreadPoolExecutor(count) as threads:
        return list(threads.map(function, range(count)))
