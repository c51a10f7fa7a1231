"""Connections that were put back, and that nobody asks for."""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import pytest

from django_litestream.db.backends.sqlite_vfs.base import put_back_connections
from django_litestream.vfs import opening
from django_litestream.vfs.forks import forks

from .project import wait_until
from .replica_world import ReplicaWorld, count_notes, in_threads, replica_world

ALIAS = "default_replica"
THREADS = 4


@pytest.fixture
def world(tmp_path: Path) -> Iterator[ReplicaWorld]:
    with replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as made:
        made.write_note()
        with made.replicating():
            yield made


def open_ones() -> int:
    gc.collect()
    return len(list(forks._open))


def read_at_once_and_no_more() -> tuple[list[int], int]:
    """Return what threads have read, and how many connections are left of theirs."""
    barrier = threading.Barrier(THREADS)

    def read(number: int) -> int:
        found = count_notes(ALIAS)
        barrier.wait(60)
        assert open_ones() == THREADS
        barrier.wait(60)
        put_back_connections()
        return found

    with patch.object(opening, "_IDLE", 1.0):
        found = in_threads(THREADS, read)
        wait_until(lambda: open_ones() == 0)
        # Whoever closes them ends with the last, and comes again.
        again = in_threads(THREADS, read)
        wait_until(lambda: open_ones() == 0)
    return found + again, open_ones()


def test_they_are_closed_though_nobody_reads_any_more(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        found, left = worker.call(read_at_once_and_no_more)
    assert found == [1] * 2 * THREADS
    assert left == 0
