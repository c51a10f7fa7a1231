"""The directory and the processes of one demo, which all end with it."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Self

from django_litestream import private_files

from .interruptions import Interruptions

_MANAGE = Path(__file__).parent.with_name("manage.py")

# Seconds; on an idle machine each of these takes less than two.
_PATIENCE = 20.0


class StepFailed(Exception):
    """A command did not do what the demo needs; the message has what it said."""


class Stage:
    """A data directory of its own for ``demo/manage.py``."""

    def __init__(self, directory: Path, interruptions: Interruptions) -> None:
        self.data = directory / "data"
        self.database = self.data / "db.sqlite3"
        self._log = directory / "daemon.log"
        self._temporary = directory / "tmp"
        self._temporary.mkdir()
        self._interruptions = interruptions

    @classmethod
    @contextmanager
    def set_up(cls, interruptions: Interruptions) -> Iterator[Self]:
        """Make the directory for the block."""
        with tempfile.TemporaryDirectory(prefix="django-litestream-demo-") as name:
            stage = cls(Path(name).resolve(), interruptions)
            try:
                yield stage
            finally:
                # Litestream's configuration and socket are outside the directory.
                shutil.rmtree(
                    private_files.directory(stage.database), ignore_errors=True
                )

    def manage(self, *words: str) -> str:
        """Run ``manage.py`` to its end; return what it printed.

        Raises ``StepFailed`` where its exit status is not zero.
        """
        running = _running(
            words,
            self._environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        with self._interruptions.guarding(running) as process:
            try:
                out, err = process.communicate(timeout=_PATIENCE)
            except subprocess.TimeoutExpired:
                raise StepFailed(
                    f"$ manage.py {' '.join(words)}\ndid not end in {_PATIENCE:g} s"
                ) from None
        if process.returncode:
            raise StepFailed(
                f"$ manage.py {' '.join(words)}\n{out}{err}"
                f"exit status {process.returncode}"
            )
        return out.rstrip()

    @contextmanager
    def daemon(self) -> Iterator[Daemon]:
        """Have ``manage.py litestream replicate`` run for the block."""
        with self._log.open("w") as log:
            running = _running(
                ("litestream", "replicate"),
                self._environment(),
                stdout=log,
                stderr=subprocess.STDOUT,
            )
            with self._interruptions.guarding(running) as process:
                yield Daemon(self, process)

    def destroy_database(self) -> list[str]:
        """Delete the database and what is kept beside it; return the names."""
        lost = sorted(self.data.glob(f"{self.database.name}*"))
        lost += self.data.glob(f".{self.database.name}*")
        for path in lost:
            shutil.rmtree(path) if path.is_dir() else path.unlink()
        return [path.name for path in lost]

    def log_tail(self, lines: int = 12) -> str:
        """Return the end of what the daemon printed, empty where none ran."""
        with suppress(FileNotFoundError), self._log.open(errors="replace") as log:
            return "".join(deque(log, lines)).strip()
        return ""

    def _environment(self) -> dict[str, str]:
        return {
            **os.environ,
            "DEMO_DATA": str(self.data),
            "DJANGO_SETTINGS_MODULE": "demo_site.settings",
            # What a killed command leaves behind goes with the directory.
            "TMPDIR": str(self._temporary),
        }


class Daemon:
    """``manage.py litestream replicate`` in the background."""

    def __init__(self, stage: Stage, process: subprocess.Popen[str]) -> None:
        self._stage = stage
        self._process = process

    def wait_until_replicating(self) -> None:
        """Return once it replicates the database; raise ``StepFailed`` otherwise."""
        deadline = time.monotonic() + _PATIENCE
        while not self._replicates():
            if self._process.poll() is not None:
                raise StepFailed(
                    "$ manage.py litestream replicate\n"
                    f"exit status {self._process.returncode}"
                )
            if time.monotonic() > deadline:
                raise StepFailed(f"It does not replicate after {_PATIENCE:g} s.")

    def kill(self) -> None:
        """End it without a chance to react."""
        self._process.kill()
        self._process.wait()

    def _replicates(self) -> bool:
        try:
            return "[replicating]" in self._stage.manage("litestream", "list")
        except StepFailed:
            return False


@contextmanager
def _running(
    words: tuple[str, ...],
    environment: dict[str, str],
    *,
    stdout: int | IO[str],
    stderr: int,
) -> Iterator[subprocess.Popen[str]]:
    """Run ``manage.py`` for the block, in a process group that ends with it."""
    with subprocess.Popen(
        [sys.executable, _MANAGE, *words],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
                with suppress(subprocess.TimeoutExpired):
                    process.wait(timeout=5)
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
