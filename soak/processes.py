"""Processes that are started anew when they end, as a supervisor would."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.project import stop


@dataclass
class Service:
    """A command that is run again, ``restart_after`` seconds after it has ended."""

    command: Sequence[str]
    environ: Mapping[str, str]
    log: Path
    restart_after: float
    exit_statuses: list[int] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._is_over = threading.Event()
        self._process = self._start()
        self._thread = threading.Thread(target=self._keep_running, daemon=True)
        self._thread.start()

    @property
    def pid(self) -> int | None:
        """The process that runs, if one does."""
        return self._process.pid if self._process.poll() is None else None

    def send(self, number: signal.Signals) -> bool:
        """Send a signal; return whether there was a process to have it."""
        if self.pid is None:
            return False
        self._process.send_signal(number)
        return True

    def stop(self) -> int:
        """End it for good; return its exit status."""
        self._is_over.set()
        status = stop(self._process)
        self._thread.join()
        return status

    def _start(self) -> subprocess.Popen[bytes]:
        with self.log.open("ab") as log:
            return subprocess.Popen(
                self.command, env=self.environ, stdout=log, stderr=subprocess.STDOUT
            )

    def _keep_running(self) -> None:
        while not self._is_over.is_set():
            try:
                status = self._process.wait(timeout=0.1)
            except subprocess.TimeoutExpired:
                continue
            self.exit_statuses.append(status)
            if not self._is_over.wait(self.restart_after):
                self._process = self._start()


def children(pid: int) -> list[int]:
    """Return the processes that ``pid`` has started and that run (Linux)."""
    found = []
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            continue
    return found


def kill(pid: int) -> None:
    """End a process that may be gone."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
