"""A snapshot that a request has left to the next one on the same connection."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from django.db import NotSupportedError, connections, transaction

from django_litestream.db.backends.sqlite_vfs.base import put_back_connections

from .project import wait_until
from .replica_world import ReplicaWorld, count_notes, in_threads, replica_world

ALIAS = "default_replica"
# It is shared for one poll interval: longer than what is read of it takes here.
LONG = "1h"


@pytest.fixture
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    directory = tmp_path_factory.mktemp("left")
    with replica_world(directory / "project", levels=[{"interval": "1h"}]) as made:
        made.vfs["unpolled"] = {**made.vfs[ALIAS], "poll_interval": LONG}
        made.write_settings()
        made.write_note()
        with made.replicating():
            made.wait_until_replicated()
            yield made


def by_requests(count: int, alias: str) -> list[tuple[int, float]]:
    """Return what each request of a thread of its own counts, and its snapshot's end."""

    def request(_: int) -> tuple[int, float]:
        found = count_notes(alias)
        ends = connections[alias].snapshots.last.ends  # type: ignore[attr-defined]
        put_back_connections()
        return found, ends

    return [in_threads(1, request)[0] for _ in range(count)]


def test_the_next_request_reads_from_the_snapshot_of_the_last(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        found = worker.call(by_requests, 3, "unpolled")
    assert found == [found[0]] * 3


def read_until(notes: int) -> None:
    wait_until(lambda: by_requests(1, ALIAS)[0][0] == notes)


def test_it_is_left_for_one_poll_interval(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        worker.call(read_until, 1)
        world.write_note()
        worker.call(read_until, 2)


def begin_in_what_was_left() -> list[int]:
    by_requests(1, "unpolled")
    with transaction.atomic(using="unpolled"):
        found = [count_notes("unpolled")]
    return [*found, *(counted for counted, _ in by_requests(1, "unpolled"))]


def test_a_transaction_begins_where_one_was_left(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        assert worker.call(begin_in_what_was_left) == [1, 1]


def begin_by_hand(statement: str) -> int:
    with connections["unpolled"].cursor() as cursor:
        cursor.execute(statement)
    put_back_connections()
    ((counted, _),) = by_requests(1, "unpolled")
    return counted


@pytest.mark.parametrize("statement", ["begin deferred", " SAVEPOINT one"])
def test_a_transaction_by_hand_is_refused(world: ReplicaWorld, statement: str) -> None:
    with (
        world.worker() as worker,
        pytest.raises(NotSupportedError, match=r"use transaction\.atomic"),
    ):
        worker.call(begin_by_hand, statement)


def test_one_that_is_begun_all_the_same_is_left_to_nobody(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        assert worker.call(begin_by_hand, "/* by hand */ BEGIN") == 1
