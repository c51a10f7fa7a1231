"""Ten mistakes of users', and what a project's commands say to each."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from .installed_project import InstalledProject
from .processes import stop_with_children

# Longer than a command takes that ends by itself.
_PATIENCE = 120.0

Change = Callable[[InstalledProject], object]


@dataclass(frozen=True, kw_only=True)
class Answer:
    """``status`` is ``None`` of a command that went on."""

    status: int | None
    last_line: str


@dataclass(frozen=True, kw_only=True)
class Mistake:
    """A command in a project with a backup, after a change that is one or makes one."""

    what: str
    words: tuple[str, ...]
    patience: float = _PATIENCE
    change: Change = lambda project: None
    during: Callable[[InstalledProject], AbstractContextManager[object]] = field(
        default=lambda project: nullcontext()
    )


def _settings(**changed: Any) -> Change:
    def change(project: InstalledProject) -> None:
        project.litestream.update(changed)
        project.write_settings()

    return change


def _without_database(then: Change = lambda project: None) -> Change:
    def change(project: InstalledProject) -> None:
        for file in project.database.parent.glob(f"{project.database.name}*"):
            file.unlink()
        then(project)

    return change


def _misspelt(project: InstalledProject) -> None:
    (entry,) = project.litestream["dbs"]
    entry["replcia"] = entry.pop("replica")
    project.write_settings()


def _same_names(project: InstalledProject) -> None:
    other = project.directory / "other" / project.database.name
    other.parent.mkdir()
    project.databases["other"] = project.sqlite(other)
    _settings(dbs=[{"path": "default"}, {"path": "other"}])(project)


@contextmanager
def _replicated(project: InstalledProject) -> Iterator[None]:
    with project.replicated():
        yield


MISTAKES = (
    Mistake(
        what="a mistyped alias",
        words=("restore", "defualt"),
        change=_without_database(),
    ),
    Mistake(what="the database is still there", words=("restore", "default")),
    Mistake(
        what="a replica without a backup",
        words=("restore", "default"),
        change=_without_database(lambda project: project.remove_replica()),
    ),
    Mistake(
        what="a time that is none",
        words=("restore", "-timestamp", "yesterday", "-o", "then.db", "default"),
    ),
    Mistake(what="`verify` without a daemon", words=("verify", "default")),
    Mistake(what="`sync` without a daemon", words=("sync", "default")),
    Mistake(
        what="a second daemon",
        words=("replicate",),
        patience=15.0,
        during=_replicated,
    ),
    Mistake(what="`replcia` in the settings", words=("config",), change=_misspelt),
    Mistake(
        what="two databases, one place for both",
        words=("config",),
        change=_same_names,
    ),
    Mistake(
        what="no bucket in the environment",
        words=("replicate", "-once"),
        change=_settings(dbs=[{"path": "default"}]),
    ),
)


def answer(mistake: Mistake, make: Callable[[Path], InstalledProject]) -> Answer:
    """Make the mistake in a new project that has a backup."""
    with tempfile.TemporaryDirectory() as directory:
        project = make(Path(directory).resolve() / "project")
        try:
            project.create_database()
            with project.replicated():
                pass
            mistake.change(project)
            with mistake.during(project):
                return _answer(project, mistake)
        finally:
            project.remove_private_files()


def _answer(project: InstalledProject, mistake: Mistake) -> Answer:
    output, errors = project.directory / "output", project.directory / "errors"
    with output.open("wb") as standard_output, errors.open("wb") as standard_error:
        process = subprocess.Popen(
            project.command("litestream", *mistake.words),
            cwd=project.directory,
            env=project.environment(),
            stdout=standard_output,
            stderr=standard_error,
        )
    status: int | None
    try:
        status = process.wait(mistake.patience)
    except subprocess.TimeoutExpired:
        status = None
    said = [
        line.strip()
        for file in (output, errors)
        for line in file.read_text(errors="replace").split("\n")
        if line.strip()
    ]
    stop_with_children(process)
    last = said[-1] if said else ""
    return Answer(status=status, last_line=_without_places(project, last))


def _without_places(project: InstalledProject, line: str) -> str:
    """Return a line without what is another in each run."""
    for place, shown in (
        (project.directory, "/srv"),
        (project.private_directory.parent, "~/.cache/django-litestream"),
        (project.private_directory.name, "1234567890ab"),
    ):
        line = line.replace(os.fspath(place), shown)
    return line.replace("|", "/")
