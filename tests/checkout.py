"""A copy of what the wheels are built from, whose table a test may rewrite."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_litestream.artifacts import ARTIFACTS

REPOSITORY = Path(__file__).resolve().parents[1]
PARTS = ("build_hooks", "django-litestream", "litestream-bin", "litestream-vfs-bin")
# The discard port, on which nothing listens.
NOWHERE = "http://127.0.0.1:9"


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """The copy, and a cache of its own; what runs in it reaches loopback alone."""

    directory: Path

    @classmethod
    def copy(cls, directory: Path) -> Checkout:
        """Copy the repository's parts, without the files of a release that they hold."""
        ignored = shutil.ignore_patterns(
            "__pycache__", *{row.file for row in ARTIFACTS}
        )
        for part in PARTS:
            shutil.copytree(REPOSITORY / part, directory / part, ignore=ignored)
        return cls(directory=directory)

    @property
    def source(self) -> Path:
        return self.directory / "django-litestream" / "src"

    @property
    def table(self) -> Path:
        return self.source / "django_litestream" / "artifacts.toml"

    def parsed(self) -> dict[str, Any]:
        """Return what the table says."""
        return tomllib.loads(self.table.read_text())

    def edit(self, pattern: str, replacement: str) -> None:
        """Replace the one line of the table that matches."""
        text, found = re.subn(f"(?m)^{pattern}$", replacement, self.table.read_text())
        assert found == 1
        self.table.write_text(text)

    def remove_index_wheels(self) -> None:
        """Take ``index_wheel`` out of all rows."""
        text = re.sub(r"(?m)^index_wheel = .*\n", "", self.table.read_text())
        self.table.write_text(text)

    def set_index_wheel(self, section: str, name: str, platform: str) -> None:
        """Name a wheel of the package index in a row that has none."""
        value = f'{{ name = "{name}", platform = "{platform}" }}'
        before, row, after = self._split(section)
        self.table.write_text(f"{before}{row.rstrip()}\nindex_wheel = {value}\n{after}")

    def unpin(self, section: str) -> None:
        """Take size and SHA-256 out of a row, if it has any."""
        before, row, after = self._split(section)
        row = re.sub(r"(?m)^(size|sha256) = .*\n", "", row)
        self.table.write_text(before + row + after)

    def _split(self, section: str) -> tuple[str, str, str]:
        """Return the table before, in and after a section such as ``[a.b]``."""
        text = self.table.read_text()
        start = text.index(f"{section}\n")
        end = text.find("\n[", start)
        return text[:start], text[start:end], text[end:] if end >= 0 else ""

    def run(
        self, *words: str | Path, **more: str | Path
    ) -> subprocess.CompletedProcess[str]:
        """Run a Python module with the copy's code, in the copy."""
        inherited = {
            # The copies of our code are not to be measured.
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("COVERAGE_", "PIP_", "LITESTREAM_"))
            and not name.lower().endswith("_proxy")
        }
        environment: dict[str, str | Path] = {
            "ALL_PROXY": NOWHERE,
            "NO_PROXY": "127.0.0.1",
            "PIP_CONFIG_FILE": os.devnull,
            "PIP_NO_INDEX": "1",
            "PYTHONPATH": self.source,
            "XDG_CACHE_HOME": self.directory / "cache",
        }
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.directory,
            env={**inherited, **environment, **more},
            capture_output=True,
            text=True,
            timeout=600,
        )

    def pin(
        self, *words: str | Path, **more: str | Path
    ) -> subprocess.CompletedProcess[str]:
        return self.run("build_hooks.pin", *words, **more)

    def build(
        self, *words: str | Path, release: Path, outdir: Path
    ) -> subprocess.CompletedProcess[str]:
        return self.run(
            *("build_hooks.all_wheels", *words, "--outdir", outdir),
            LITESTREAM_ARTIFACTS=release,
        )
