"""A Django project in a directory of its own, run as its users run it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from django_litestream import private_files
from django_litestream.binaries import find_executable

# Nothing here takes a second on an idle machine.
PATIENCE = 60.0

linux = pytest.mark.skipif(
    not Path("/proc/self/exe").exists(), reason="looks at processes through /proc"
)

_MANAGE = """\
import os, sys
os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
from django.core.management import execute_from_command_line
execute_from_command_line(sys.argv)
"""

_SETTINGS = """\
SECRET_KEY = "only for tests"
USE_TZ = True
INSTALLED_APPS = ["django_litestream"]
ROOT_URLCONF = "project_urls"
ALLOWED_HOSTS = ["*"]
DATABASES = {databases!r}
LITESTREAM = {litestream!r}
"""

_URLS = """\
from django.http import HttpResponse
from django.urls import path

urlpatterns = [path("", lambda request: HttpResponse("served by Django"))]
"""


@dataclass
class Project:
    """A project with one SQLite database and a ``file`` replica.

    ``litestream`` is its ``settings.LITESTREAM``; ``write_settings`` must be called
    after a change.
    """

    directory: Path
    databases: dict[str, dict[str, Any]] = field(default_factory=dict)
    litestream: dict[str, Any] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        self.databases = self.databases or {"default": self.sqlite(self.database)}
        self.litestream = self.litestream or {
            "dbs": [self.entry("default", self.replica)]
        }
        (self.directory / "manage.py").write_text(_MANAGE)
        (self.directory / "project_urls.py").write_text(_URLS)
        self.write_settings()

    @property
    def database(self) -> Path:
        return self.directory / "db.sqlite3"

    @property
    def replica(self) -> Path:
        return self.directory / "replica"

    @property
    def private_directory(self) -> Path:
        return private_files.directory(self.database.resolve())

    @property
    def socket(self) -> Path:
        configured = self.litestream.get("socket", {}).get("path")
        return Path(configured or private_files.socket_path(self.private_directory))

    @staticmethod
    def sqlite(path: Path) -> dict[str, Any]:
        return {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}

    @staticmethod
    def entry(path: str, replica: Path) -> dict[str, Any]:
        """An entry of ``dbs``, ten times as eager as Litestream's defaults."""
        return {
            "path": path,
            "monitor-interval": "100ms",
            "replica": {
                "type": "file",
                "path": str(replica),
                "sync-interval": "100ms",
            },
        }

    def write_settings(self) -> None:
        (self.directory / "project_settings.py").write_text(
            _SETTINGS.format(databases=self.databases, litestream=self.litestream)
        )
        # Python compares whole seconds before it takes cached bytecode.
        shutil.rmtree(self.directory / "__pycache__", ignore_errors=True)

    def create_database(self, rows: int = 10) -> None:
        """Make the database in WAL mode with ``rows`` numbered rows."""
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE note (number INTEGER PRIMARY KEY, text)")
        self.insert(rows)

    def insert(self, rows: int = 1) -> int:
        """Commit ``rows`` more rows; return how many there are then."""
        with closing(sqlite3.connect(self.database, timeout=PATIENCE)) as connection:
            with connection:
                connection.executemany(
                    "INSERT INTO note (text) VALUES (?)", [("x" * 50,)] * rows
                )
            return count_rows(self.database)

    def command(self, *words: str) -> list[str]:
        return [sys.executable, str(self.directory / "manage.py"), *words]

    def script(self, *lines: str) -> list[str]:
        """Return the command that runs Python ``lines`` with Django set up."""
        setup = (
            "import os, sys, django",
            "os.environ['DJANGO_SETTINGS_MODULE'] = 'project_settings'",
            "django.setup()",
            "from django.core.management import call_command",
        )
        return [sys.executable, "-c", "\n".join([*setup, *lines])]

    def environment(self) -> dict[str, str]:
        return {**os.environ, **self.environ}

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` to its end."""
        return self.complete(self.command(*words))

    def complete(self, command: Sequence[str]) -> subprocess.CompletedProcess[str]:
        """Run any command to its end, in the project's directory and environment."""
        return subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )

    def run(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py litestream`` to its end."""
        return self.manage("litestream", *words)

    @contextmanager
    def replicating(
        self, *flags: str, seconds: float = PATIENCE
    ) -> Iterator[subprocess.Popen[bytes]]:
        """Have ``manage.py litestream replicate`` run for the block.

        ``seconds`` bound the wait for its first sync of each database.
        """
        with (self.directory / "daemon.log").open("ab") as log:
            daemon = subprocess.Popen(
                self.command("litestream", "replicate", *flags),
                cwd=self.directory,
                env=self.environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        try:
            wait_until(
                lambda: replicates(self.socket) or daemon.poll() is not None,
                seconds=seconds,
            )
            assert daemon.poll() is None, self.daemon_log()
            yield daemon
        finally:
            stop(daemon)

    def daemon_log(self) -> str:
        return (self.directory / "daemon.log").read_text(errors="replace")

    def restored_rows(self) -> int:
        """Restore the replica by the bare binary and count the rows of the copy."""
        copy = self.directory / "restored.sqlite3"
        copy.unlink(missing_ok=True)
        subprocess.run(
            [find_executable(), "restore", "-o", copy, self.replica.as_uri()],
            check=True,
            timeout=PATIENCE,
        )
        return count_rows(copy)

    def remove_private_files(self) -> None:
        shutil.rmtree(self.private_directory, ignore_errors=True)


def count_rows(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        count: int = connection.execute("SELECT count(*) FROM note").fetchone()[0]
        return count


def replicates(path: Path) -> bool:
    """Whether a daemon answers and has synced each database that exists once."""
    try:
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(path))
            connection.sendall(b"GET /list HTTP/1.0\r\n\r\n")
            with connection.makefile("rb") as answer:
                _, _, body = answer.read().partition(b"\r\n\r\n")
    except OSError:
        return False
    databases = json.loads(body)["databases"]
    return all(
        "last_sync_at" in database
        for database in databases
        if Path(database["path"]).exists()
    )


def take_away(directory: Path) -> None:
    """Have a directory gone at once, though a daemon goes on writing to it."""
    directory.rename(directory.with_name(f"{directory.name}-taken-away"))


def wait_until(condition: Any, *, seconds: float = PATIENCE) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not happen"
        time.sleep(0.02)


def stop(process: subprocess.Popen[bytes], number: int = signal.SIGTERM) -> int:
    """Send a signal and wait for the end; kill what does not end."""
    if process.poll() is None:
        process.send_signal(signal.SIGCONT)
        process.send_signal(number)
    try:
        return process.wait(timeout=PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


def processes_with(text: str | Path) -> Sequence[str]:
    """Return the command lines of the processes that mention ``text`` (Linux)."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
        except OSError:
            continue
        if str(text) in line:
            found.append(line)
    return found
