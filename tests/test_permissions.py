"""What a user may not read or write is said in one line, and keeps nothing else."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from .project import Project
from .test_restarted_wal import kept_open
from .verified import UNCHECKED, assert_one_line

pytestmark = pytest.mark.skipif(os.name == "nt", reason="POSIX's permissions")


def run(project: Project, *words: str) -> subprocess.CompletedProcess[str]:
    """Run ``manage.py litestream`` as one to whom permissions apply."""
    unprivileged: list[str] = []
    if os.geteuid() == 0:
        if not shutil.which("setpriv"):
            pytest.skip("root may read everything")
        unprivileged = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    return project.complete([*unprivileged, *project.command("litestream", *words)])


@pytest.fixture
def closed(project: Project) -> Iterator[Path]:
    """A directory that nobody may enter, with a second database of the project."""
    directory = project.directory / "closed"
    directory.mkdir()
    other = directory / "other.sqlite3"
    shutil.copy(project.database, other)
    configure(project, other)
    yield directory
    directory.chmod(0o700)


def configure(project: Project, other: Path) -> None:
    project.databases["other"] = Project.sqlite(other)
    project.litestream["dbs"].append(
        Project.entry("other", project.directory / "other-replica")
    )
    project.write_settings()


def assert_default_is_replicated(project: Project) -> None:
    completed = run(project, "replicate", "-once")
    assert "Traceback" not in completed.stderr
    assert project.restored_rows() == 10
    assert project.databases["other"]["NAME"] in completed.stdout


def close_directory(database: Path) -> None:
    database.parent.chmod(0)


def close_files(database: Path) -> None:
    for file in database.parent.glob(f"{database.name}*"):
        file.chmod(0)


def close_wal(database: Path) -> None:
    database.with_name(f"{database.name}-wal").chmod(0)


@pytest.mark.parametrize("close", [close_directory, close_wal])
def test_one_database_that_cannot_be_read_keeps_no_other_from_its_backup(
    project: Project, closed: Path, close: Callable[[Path], None]
) -> None:
    other = closed / "other.sqlite3"
    with kept_open(other) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        close(other)
        assert_default_is_replicated(project)


def test_one_database_below_a_file_keeps_no_other_from_its_backup(
    project: Project,
) -> None:
    configure(project, project.directory / "manage.py" / "other.sqlite3")
    assert_default_is_replicated(project)


@pytest.mark.parametrize("close", [close_directory, close_files])
def test_verify_of_a_database_that_cannot_be_read_says_nothing_of_its_backup(
    project: Project, closed: Path, close: Callable[[Path], None]
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    close(closed / "other.sqlite3")
    completed = run(project, "verify", "other")
    assert completed.returncode == UNCHECKED
    line = assert_one_line(completed)
    assert f"{closed / 'other.sqlite3'} cannot be" in line
    assert "let this user" in line


@pytest.mark.skipif(
    sys.version_info >= (3, 14), reason="this Python takes it for one that is not there"
)
def test_another_file_that_cannot_be_looked_at_is_named(
    project: Project, closed: Path
) -> None:
    metadata = closed / "metadata"
    project.litestream["dbs"][0]["meta-path"] = str(metadata)
    project.write_settings()
    with kept_open(project.database) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('more')")
        closed.chmod(0)
        completed = run(project, "replicate", "-once")
    assert completed.returncode == 1
    assert f"{metadata} cannot be used: Permission" in assert_one_line(completed)
