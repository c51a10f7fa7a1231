"""What ``manage.py litestream restore`` adds to Litestream's own."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from django_litestream.binaries import find_executable

from .comparison import in_turns
from .figures import Figure
from .replicated_project import ReplicatedProject, ReplicatedProjects
from .results import Table

# How long the turns of one size go on.
_SECONDS = 60.0


def measure(projects: ReplicatedProjects, runs: int) -> Iterator[Figure | Table]:
    found = {
        size: in_turns(
            partial(seconds_of_restore, project, *_ours(project)),
            partial(seconds_of_restore, project, *_bare(project)),
            runs,
            _SECONDS,
        )
        for size, project in projects.file
    }
    yield Table(
        title="Restoring",
        note="Seconds to restore a `file` replica, by `manage.py litestream restore` and "
        "by Litestream alone. What ours adds is the start of Python and of Django.",
        columns=("database", "ours", "bare", "ratio", "difference"),
        rows=[
            (
                f"{size:,} MB",
                f"{compared.ours:.2f}",
                f"{compared.theirs:.2f}",
                f"{compared.ratio:.2f}",
                f"{compared.difference:+.2f}",
            )
            for size, compared in found.items()
        ],
    )
    yield Figure(
        title="Restoring",
        lines={
            "ours": {size: compared.ours for size, compared in found.items()},
            "bare": {size: compared.theirs for size, compared in found.items()},
        },
    )


def seconds_of_restore(project: ReplicatedProject, *words: str | Path) -> float:
    """Return what a command took that restores to ``restored`` of the project."""
    try:
        start = time.perf_counter()
        subprocess.run(
            words,
            cwd=project.directory,
            env=project.environment(),
            capture_output=True,
            check=True,
        )
        return time.perf_counter() - start
    finally:
        for left in project.directory.glob(f"{_restored(project).name}*"):
            left.unlink()


def _ours(project: ReplicatedProject) -> Sequence[str | Path]:
    restored = str(_restored(project))
    return project.command("litestream", "restore", "-o", restored, "default")


def _bare(project: ReplicatedProject) -> Sequence[str | Path]:
    restored = _restored(project)
    return [find_executable(), "restore", "-o", restored, project.replica_url]


def _restored(project: ReplicatedProject) -> Path:
    return project.directory / "restored.sqlite3"
