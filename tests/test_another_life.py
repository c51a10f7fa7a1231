"""Replicas that are not of their primary as it is: of an older life of it, or another."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from django_litestream import health

from .project import wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, count_notes, replica_world

# How long the router may take to see that a replica is not to be read from, and how
# long it has to keep away from it, in seconds.
SEEN_WITHIN = 20.0
RIGHT_FOR = 4.0


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ReplicaWorld]:
    with replica_world(tmp_path / "project", "default") as made:
        made.vfs["max_lag_seconds"] = 2
        made.write_settings()
        yield made


def healthy_replicas() -> tuple[str, ...]:
    watcher = health.watcher()
    return watcher.healthy("default") if watcher else ()


def wait_until_read_from() -> None:
    wait_until(lambda: any(map(count_notes, healthy_replicas())))


def wait_until_read_rightly() -> None:
    """Wait until no replica that the router reads from shows anything else for long."""
    right_since = time.monotonic()

    def is_right_for_long() -> bool:
        nonlocal right_since
        shown = {count_notes(alias) for alias in healthy_replicas()}
        if shown - {count_notes("default")}:
            right_since = time.monotonic()
        return time.monotonic() - right_since > RIGHT_FOR

    wait_until(is_right_for_long, seconds=SEEN_WITHIN)


def delete_notes() -> None:
    Note.objects.using("default").all().delete()


def test_a_replica_of_another_life_of_its_primary_is_left(world: ReplicaWorld) -> None:
    """Its transactions are numbered from one again, and no poll brings a newer one."""
    with world.replicating():
        for _ in range(20):
            world.write_note()
            world.wait_until_replicated()
    with world.worker() as worker:
        # As Litestream starts it compacts what it has.
        with world.replicating():
            worker.call(wait_until_read_from)
        assert world.run("reset", "default").returncode == 0
        shutil.rmtree(world.replica_of("default"))
        worker.call(delete_notes)
        with world.replicating():
            world.wait_until_replicated()
            worker.call(wait_until_read_rightly)


def read_for_a_while() -> set[str]:
    """Return what the router would have read from, once it has looked for long."""
    ends = time.monotonic() + RIGHT_FOR
    found: set[str] = set()
    while time.monotonic() < ends:
        found.update(healthy_replicas())
        time.sleep(0.05)
    return found


def test_a_replica_of_another_database_is_not_read_from(tmp_path: Path) -> None:
    with replica_world(tmp_path / "project", "default", "other") as world:
        world.vfs["default_replica"]["url"] = world.replica_of("other").as_uri()
        world.write_settings()
        with world.replicating(), world.worker() as worker:
            for _ in range(10):
                world.write_note("other")
                world.wait_until_replicated("other")
            assert worker.call(read_for_a_while) == set()
            status = world.run("vfs-status", "default_replica")
    assert status.returncode == 1
    assert "it is of another life of the database, or of another one" in status.stdout


def test_a_replica_of_another_database_that_is_younger_is_not_read_from(
    tmp_path: Path,
) -> None:
    with replica_world(tmp_path / "project", "default", "other") as world:
        world.vfs["default_replica"]["url"] = world.replica_of("other").as_uri()
        world.write_settings()
        with world.replicating(), world.worker() as worker:
            for _ in range(10):
                world.write_note()
                world.wait_until_replicated()
            assert worker.call(read_for_a_while) == set()
