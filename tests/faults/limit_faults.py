"""Disks that are full or read-only, and limits that are low."""

from __future__ import annotations

import resource
import subprocess
from pathlib import Path

from django_litestream.verify_report import Verdict

from ..project import wait_until
from ..proof.journal import Event
from .catalogue import Catalogue, Course
from .world import World

limits = Catalogue()


def _fill(directory: Path) -> Path:
    """Take all the room that is left, and return what takes it."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        for size in (1 << 16, 1 << 10, 1):
            try:
                while True:
                    file.write(b"\0" * size)
            except OSError:
                continue
    return filler


@limits.fault(disk="replica")
def disk_full_at_the_replica(world: World) -> Course:
    """The replica's disk is full for a while."""
    filler = _fill(world.replica)
    world.wait_for_more(Event.COMMITTED, 50)
    outcome = yield
    assert outcome.verdict is Verdict.BAD, outcome
    filler.unlink()


@limits.fault(disk="project")
def disk_full_at_the_database(world: World) -> Course:
    """The disk of the database, its WAL and Litestream's directory is full."""
    filler = _fill(world.project.directory)
    wait_until(lambda: "disk is full" in world.failures())
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD, outcome
    filler.unlink()


@limits.fault(disk="replica")
def replica_read_only(world: World) -> Course:
    """The replica's file system is read-only for a while."""
    _remount(world.replica, "ro")
    world.wait_for_more(Event.COMMITTED, 50)
    outcome = yield
    assert outcome.verdict is Verdict.BAD, outcome
    _remount(world.replica, "rw")


def _remount(directory: Path, how: str) -> None:
    words = ["mount", "-o", f"remount,{how}", str(directory)]
    subprocess.run(words, check=True, capture_output=True)


@limits.fault()
def few_descriptors(world: World) -> Course:
    """The daemon may open no file more than it has open, for a while."""
    assert world.daemon is not None
    _, hard = resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE)
    before = resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE, (3, hard))
    world.wait_for_more(Event.COMMITTED, 50)
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD, outcome
    resource.prlimit(world.daemon.pid, resource.RLIMIT_NOFILE, before)


@limits.fault()
def small_files(world: World) -> Course:
    """The daemon may write no file of more than some bytes, for a while."""
    assert world.daemon is not None
    _, hard = resource.prlimit(world.daemon.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(world.daemon.pid, resource.RLIMIT_FSIZE, (100, hard))
    world.wait_for_more(Event.COMMITTED, 50)
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD, outcome
    resource.prlimit(
        world.daemon.pid, resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, hard)
    )
    if world.daemon.poll() is not None:
        world.restart_daemon()
