"""A project with as many databases as it has tenants."""

from __future__ import annotations

import json
import random
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_litestream.control import Daemon
from django_litestream.sync import sync
from django_litestream.verify_report import Verdict

from ..project import PATIENCE, Project, stop, wait_until
from ..proof.journal import Event, Journal
from ..proof.oracle import judge
from ..proof.process import create_ledger, start_writer

pytestmark = pytest.mark.prove

COUNT = 500
WRITTEN_TO = 5
# Each database is verified for itself, and the machine may be busy.
LONG = 1200


@pytest.fixture
def tenants(tmp_path: Path) -> Iterator[Project]:
    """A project of many ledgers, each with a replica of its own."""
    directory = tmp_path / "project"
    names = ["default", *(f"tenant{number}" for number in range(1, COUNT))]
    project = Project(
        directory,
        databases={name: Project.sqlite(directory / name) for name in names},
        litestream={
            "dbs": [
                Project.entry(name, directory / "replicas" / name) for name in names
            ],
            "socket": {"path": str(tmp_path / "socket")},
        },
    )
    for name in names:
        create_ledger(directory / name)
    yield project
    project.remove_private_files()


def test_all_are_replicated_and_verified(
    tenants: Project, tmp_path: Path, seed: int
) -> None:
    names = random.Random(seed).sample(list(tenants.databases), WRITTEN_TO)
    with tenants.replicating() as daemon:
        stop(daemon, signal.SIGKILL)
    with tenants.replicating():
        writers = [
            start_writer(
                tenants.directory / name,
                tmp_path / name,
                "--socket",
                str(tenants.socket),
                "--pause",
                "0.1",
            )
            for name in names
        ]
        try:
            for name in names:
                wait_until(lambda name=name: acknowledged(tmp_path / name) > 3)
            verdicts = verify(tenants)
        finally:
            for writer in writers:
                stop(writer)
        assert len(Daemon(tenants.socket).databases()) == COUNT
        for name in tenants.databases:
            sync(tenants.socket, tenants.directory / name, wait=True, timeout=PATIENCE)
    assert verdicts == dict.fromkeys(tenants.databases, Verdict.GOOD.name.lower())
    for name in names:
        copy = tmp_path / f"{name}-restored"
        restored = tenants.run("restore", "-o", str(copy), name)
        assert restored.returncode == 0, restored.stderr
        assert judge(copy, Journal.read(tmp_path / name)) == []


def acknowledged(journal: Path) -> int:
    return len(Journal.read(journal).rows(Event.ACKNOWLEDGED))


def verify(project: Project) -> dict[str, str]:
    completed = subprocess.run(
        project.command("litestream", "verify", "-json"),
        cwd=project.directory,
        env=project.environment(),
        capture_output=True,
        text=True,
        timeout=LONG,
        check=False,
    )
    return {one["database"]: one["status"] for one in json.loads(completed.stdout)}
