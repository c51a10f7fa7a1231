"""A project that runs by the packages of an environment of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.project import Project, wait_until

from .processes import stop_with_children

_NOT_INHERITED = ("AWS_", "LITESTREAM_", "PYTHON")


@dataclass
class InstalledProject(Project):
    """It has Litestream's own intervals, unlike in the tests."""

    python: Path = Path(sys.executable)

    def __post_init__(self) -> None:
        replica = {"type": "file", "path": str(self.replica)}
        self.litestream = self.litestream or {
            "dbs": [{"path": "default", "replica": replica}]
        }
        super().__post_init__()

    def command(self, *words: str) -> list[str]:
        return [os.fspath(self.python), *super().command(*words)[1:]]

    def environment(self) -> dict[str, str]:
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(_NOT_INHERITED)
        }
        # The index's leaves its configuration behind where temporary files are.
        return {**inherited, "TMPDIR": os.fspath(self.directory), **self.environ}

    @contextmanager
    def replicated(self) -> Iterator[subprocess.Popen[bytes]]:
        """Have ``replicate`` run for the block, which begins when it has replicated."""
        self.insert()
        before = self._backup()
        daemon = subprocess.Popen(
            self.command("litestream", "replicate"),
            cwd=self.directory,
            env=self.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            wait_until(lambda: self._backup() > before)
            yield daemon
        finally:
            stop_with_children(daemon)

    def _backup(self) -> set[Path]:
        return set(self.replica.rglob("*.ltx"))

    def remove_replica(self) -> None:
        shutil.rmtree(self.replica)
