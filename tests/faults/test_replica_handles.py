"""Replicas opened and closed a thousand times leave nothing behind in a process."""

from __future__ import annotations

import gc
import os
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.db import connections

from ..project import linux
from ..replica_world import ReplicaWorld, count_notes, in_threads, replica_world

pytestmark = [pytest.mark.prove, linux]

REPLICA = "default_replica"
OPENED = 1000
# After so many Go's and SQLite's own pools are as large as they become.
WARM = 150
# Of about a megabyte, which each connection has in its caches: if one in ten were
# left, that would be seen.
NOTES = 30_000
GROWTH = 60 << 20


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    directory = tmp_path_factory.mktemp("handles")
    with replica_world(directory / "project") as made:
        made.write_note(count=NOTES)
        with made.replicating():
            made.wait_until_replicated()
            yield made


@dataclass(frozen=True)
class Held:
    """What a process holds: memory in bytes."""

    connections: int
    descriptors: int
    threads: int
    memory: int


def held() -> Held:
    gc.collect()
    status = dict(
        line.split(":\t", 1)
        for line in Path("/proc/self/status").read_text().splitlines()
        if ":\t" in line
    )
    return Held(
        connections=sum(
            isinstance(one, sqlite3.Connection) for one in gc.get_objects()
        ),
        descriptors=len(os.listdir("/proc/self/fd")),
        threads=int(status["Threads"]),
        memory=int(status["VmRSS"].split()[0]) << 10,
    )


def open_and_close(count: int) -> Held:
    for _ in range(count):
        assert count_notes(REPLICA) == NOTES
        connections[REPLICA].close()
    return held()


def open_and_close_in_threads(count: int) -> Held:
    def use(number: int) -> None:
        for _ in range(count // 4):
            assert count_notes(REPLICA) == NOTES
            connections[REPLICA].close()

    in_threads(4, use)
    return held()


@pytest.mark.parametrize("use", [open_and_close, open_and_close_in_threads])
def test_a_thousand_opens_leave_nothing(
    world: ReplicaWorld, use: Callable[[int], Held]
) -> None:
    with world.worker() as worker:
        before = worker.call(use, WARM)
        worker.begin(use, OPENED)
        after: Held = worker.result(600)
    print(before, after)
    assert after.connections == before.connections
    assert after.descriptors <= before.descriptors + 5
    assert after.threads <= before.threads + 8
    assert after.memory < before.memory + GROWTH
