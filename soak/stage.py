"""What is soaked: writers, daemon, S3 server, web server."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from django_litestream import private_files
from tests.project import PATIENCE, replicates, stop, wait_until
from tests.proof.process import create_ledger, start_writer
from tests.s3_server import free_port

from .processes import Service, children
from .resources import Use
from .storage import MortalS3Server

LEDGERS = ("default", "other")
WORKERS, THREADS = 2, 4
MAX_LAG_SECONDS = 30
# A worker comes to have a connection to each replica for each of its threads and one
# for the router, each with some 100 MB and some sockets that Litestream keeps for it. If
# those that are replaced after a compaction were left, it would have far more. What
# it has while it is young says nothing: workers are killed all the time.
_CONNECTIONS = len(LEDGERS) * (THREADS + 1)
LIMIT_OF_WORKER = Use(
    megabytes=200 + 110 * _CONNECTIONS, descriptors=40 + 10 * _CONNECTIONS
)

_REPOSITORY = Path(__file__).parents[1]
# As in the documented unit.
_RESTART_AFTER = 5.0
_PAUSE_OF_WRITER = {"default": "0.5", "other": "0.1"}


@dataclass
class Stage:
    """The project in ``directory``, and all that runs for it."""

    directory: Path
    server: MortalS3Server
    compact_every: str | None = None
    port: int = field(default_factory=free_port)
    writers: list[subprocess.Popen[bytes]] = field(default_factory=list)

    daemon: Service = field(init=False)
    gunicorn: Service = field(init=False)

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def socket(self) -> Path:
        return self.directory / "daemon.sock"

    def database(self, ledger: str) -> Path:
        return self.directory / f"{ledger}.sqlite3"

    def journal(self, ledger: str) -> Path:
        return self.directory / f"{ledger}.journal"

    def log(self, name: str) -> Path:
        return self.directory / f"{name}.log"

    @property
    def workers(self) -> list[int]:
        """The processes of gunicorn that answer requests."""
        return children(self.gunicorn.pid) if self.gunicorn.pid else []

    def environment(self) -> dict[str, str]:
        """Nothing of the storage's but what is of this server."""
        foreign = ("AWS_", "LITESTREAM_", "HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(foreign)
        }
        return {
            **inherited,
            **self.server.environ,
            "PYTHONPATH": os.fspath(_REPOSITORY),
            "DJANGO_SETTINGS_MODULE": "soak.site.settings",
            "SOAK_DIRECTORY": os.fspath(self.directory),
            "SOAK_LITESTREAM": json.dumps(self._litestream()),
        }

    def _litestream(self) -> dict[str, Any]:
        """``settings.LITESTREAM``, with the defaults of Litestream but for the storage."""
        replicas = {ledger: self.server.replica(ledger) for ledger in LEDGERS}
        for replica in replicas.values():
            del replica["sync-interval"]
        every = self.compact_every
        return {
            **({"levels": [{"interval": every}]} if every else {}),
            "dbs": [
                {"path": ledger, "replica": replica}
                for ledger, replica in replicas.items()
            ],
            "socket": {"enabled": True, "path": os.fspath(self.socket)},
            "vfs": {
                **{
                    f"{ledger}_replica": {
                        "url": self.server.url(ledger),
                        "primary": ledger,
                    }
                    for ledger in LEDGERS
                },
                "max_lag_seconds": MAX_LAG_SECONDS,
            },
        }

    def start_daemon(self) -> None:
        self.daemon = Service(
            self._manage("litestream", "replicate"),
            self.environment(),
            self.log("daemon"),
            _RESTART_AFTER,
        )
        wait_until(self.replicates)

    def start_gunicorn(self) -> None:
        command = [sys.executable, "-m", "gunicorn", "--bind", f"127.0.0.1:{self.port}"]
        command += ["--workers", str(WORKERS), "--threads", str(THREADS)]
        command += ["--graceful-timeout", "10", "soak.site.wsgi"]
        self.gunicorn = Service(
            command, self.environment(), self.log("gunicorn"), _RESTART_AFTER
        )
        wait_until(lambda: len(self.workers) == WORKERS)

    def start_writers(self, seed: int) -> None:
        for ledger in LEDGERS:
            options = ["--socket", str(self.socket), "--seed", str(seed)]
            options += ["--payload", "200", "--pause", _PAUSE_OF_WRITER[ledger]]
            options += ["--sync-pause", "1"]
            self.writers.append(
                start_writer(self.database(ledger), self.journal(ledger), *options)
            )

    def replicates(self) -> bool:
        """Whether the daemon answers and has synced both databases once."""
        return replicates(self.socket)

    def stop_writers(self) -> None:
        while self.writers:
            stop(self.writers.pop())

    def manage(self, *words: str) -> subprocess.CompletedProcess[str]:
        """Run ``manage.py`` to its end."""
        return subprocess.run(
            self._manage(*words),
            env=self.environment(),
            capture_output=True,
            text=True,
            timeout=10 * PATIENCE,
            check=False,
        )

    def _manage(self, *words: str) -> list[str]:
        return [sys.executable, "-m", "soak.site.manage", *words]


@contextmanager
def stage(
    directory: Path, seed: int, compact_every: str | None = None
) -> Iterator[Stage]:
    """Have all of it run for the block.

    ``compact_every`` is a duration of Go's; without it Litestream's defaults are used.
    """
    server = MortalS3Server(directory / "s3")
    made = Stage(directory, server, compact_every)
    with ExitStack() as stack:
        private = private_files.directory(made.database(LEDGERS[0]).resolve())
        stack.callback(shutil.rmtree, private, ignore_errors=True)
        for ledger in LEDGERS:
            create_ledger(made.database(ledger))
        server.start()
        stack.callback(server.stop)
        made.start_daemon()
        stack.callback(lambda: made.daemon.stop())
        made.start_writers(seed)
        stack.callback(made.stop_writers)
        made.start_gunicorn()
        stack.callback(lambda: made.gunicorn.stop())
        yield made
