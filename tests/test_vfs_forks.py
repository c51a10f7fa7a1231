"""The child of a process that had the VFS: refused where it would read no news."""

from __future__ import annotations

import gc
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from django.db import OperationalError, connection, connections, transaction

from .project import PATIENCE, wait_until
from .replica_app.models import Note
from .replica_world import (
    ReplicaWorld,
    count_notes,
    in_threads,
)
from .routing_project.site import replicated_site, served

WORKERS = 4

REPLICA = "default_replica"
REFUSAL = (
    "Litestream's VFS was loaded before this process was forked, and its poller does not "
    "survive that: the replica would never change again. Touch no replica in the parent "
    "(gunicorn --preload, a Celery or multiprocessing pool), set "
    "LITESTREAM['vfs_eager'] to False, or start workers by spawn."
)
# For a read that the primary answers; a replica that is waited for takes seconds.
QUICK = 8.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    with replicated_site(tmp_path_factory.mktemp("forks")) as made:
        yield made


@dataclass(frozen=True)
class Reading:
    """What a process found when it read."""

    refusal: str
    routed_to: set[str]
    routed_rows: int
    seconds: float


def read_everything() -> Reading:
    """Read by the router, and the replica by name, in and out of a transaction."""
    begun = time.monotonic()
    notes = list(Note.objects.all())
    seconds = time.monotonic() - begun
    refusal = refusal_of_reading()
    with suppress(OperationalError), transaction.atomic(REPLICA):
        assert refusal_of_reading() == refusal
    routed_to = {str(note._state.db) for note in notes}
    return Reading(refusal, routed_to, len(notes), seconds)


def refusal_of_reading() -> str:
    try:
        count_notes(REPLICA)
    except OperationalError as error:
        return str(error)
    return ""


def read_and_close() -> Reading:
    reading = read_everything()
    connections.close_all()
    gc.collect()
    return reading


def write_and_find_it() -> bool:
    """Write to the primary and wait for that in the replica."""
    note = Note.objects.using("default").create(source="default", written_at=0)
    wait_until(lambda: Note.objects.using(REPLICA).filter(pk=note.pk).exists())
    return True


@contextmanager
def threads_with_open_connections() -> Iterator[None]:
    is_over = threading.Event()
    are_open = threading.Barrier(4)

    def stay() -> None:
        count_notes(REPLICA)
        are_open.wait()
        is_over.wait()

    threads = [threading.Thread(target=stay) for _ in range(3)]
    for thread in threads:
        thread.start()
    are_open.wait()
    try:
        yield
    finally:
        is_over.set()
        for thread in threads:
            thread.join()


def in_forked_child[T](function: Callable[[], T]) -> tuple[T, int]:
    """Return what a function returns in a child, and the status that it ends with.

    It ends as any program does: by the interpreter's own way out.
    """
    reading, writing = multiprocessing.Pipe(duplex=False)
    child = os.fork()
    if child == 0:
        writing.send(function())
        sys.exit(0)
    try:
        assert reading.poll(PATIENCE), "the child hangs"
        result: T = reading.recv()
        statuses: list[int] = []

        def has_ended() -> bool:
            ended, status = os.waitpid(child, os.WNOHANG)
            if ended:
                statuses.append(status)
            return bool(ended)

        wait_until(has_ended)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    return result, statuses[0]


def fork_after_reading() -> tuple[Reading, int, bool]:
    list(Note.objects.all())
    count_notes(REPLICA)
    with threads_with_open_connections():
        reading, status = in_forked_child(read_and_close)
        # The parent is none the worse for it.
        return reading, status, write_and_find_it()


def fork_inside_of_a_transaction() -> tuple[str, int]:
    with transaction.atomic(REPLICA):
        # A cursor that has not read all of its rows.
        rows = Note.objects.using(REPLICA).iterator(chunk_size=1)
        assert next(rows).pk
        return in_forked_child(close_after_reading)


def close_after_reading() -> str:
    refusal = refusal_of_reading()
    connections.close_all()
    return refusal


def fork_twice() -> tuple[Reading, int]:
    count_notes(REPLICA)
    grandchild, status = in_forked_child(lambda: in_forked_child(read_and_close))
    assert status == 0
    return grandchild


def assert_refused(reading: Reading, rows: int) -> None:
    assert reading.refusal == REFUSAL
    assert reading.routed_to == {"default"}
    assert reading.routed_rows >= rows
    assert reading.seconds < QUICK


def test_the_child_of_a_process_that_read_a_replica_says_so_and_ends(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        rows = worker.call(count_notes, "default")
        reading, status, parent_is_well = worker.call(fork_after_reading)
        assert_refused(reading, rows)
        assert (status, parent_is_well) == (0, True)
        assert worker.call(fork_inside_of_a_transaction) == (REFUSAL, 0)
        reading, status = worker.call(fork_twice)
        assert_refused(reading, rows)
        assert status == 0


def fork_before_reading() -> tuple[bool, int]:
    connection.ensure_connection()
    connections.close_all()
    return in_forked_child(write_and_find_it)


def test_the_child_of_a_process_that_read_none_reads_live_data(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        assert worker.call(fork_before_reading) == (True, 0)
        # The parent may read afterwards, and its next child may not.
        worker.call(write_and_find_it)
        reading, _, _ = worker.call(fork_after_reading)
        assert reading.refusal == REFUSAL


def read_in_pool(number: int) -> tuple[int, Reading]:
    return os.getpid(), read_everything()


def write_and_find_it_in_pool(number: int) -> tuple[int, bool]:
    return os.getpid(), write_and_find_it()


def use_pool[T](
    function: Callable[[int], tuple[int, T]], touches_before: bool
) -> dict[int, T]:
    """Call a function in a pool of forks, several times in each, as Celery does."""
    if touches_before:
        count_notes(REPLICA)
    connections.close_all()
    with multiprocessing.get_context("fork").Pool(WORKERS) as pool:
        results = pool.map_async(function, range(4 * WORKERS), chunksize=1)
        found = dict(results.get(timeout=PATIENCE))
        pool.close()
        pool.join()
    return found


def test_a_pool_of_forks(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        found = worker.call(use_pool, write_and_find_it_in_pool, False)
        assert set(found.values()) == {True}
        for reading in worker.call(use_pool, read_in_pool, True).values():
            assert_refused(reading, rows=1)


def read_in_each_process(address: str) -> dict[int, dict[str, Any]]:
    """Return the newest answer of each worker, once all of them have answered."""
    answers: dict[int, dict[str, Any]] = {}

    def ask(number: int) -> None:
        answer = httpx.get(f"{address}/replica/{REPLICA}", timeout=PATIENCE).json()
        answers[answer["pid"]] = answer

    def all_have_answered() -> bool:
        in_threads(2 * WORKERS, ask)
        return len(answers) == WORKERS

    wait_until(all_have_answered)
    return answers


def test_gunicorn_whose_master_touched_a_replica(world: ReplicaWorld) -> None:
    world.write_note()
    with served(world, workers=WORKERS, TOUCH_BEFORE_FORK=REPLICA) as address:
        for answer in read_in_each_process(address).values():
            assert answer["error"] == REFUSAL
            assert answer["read_from"] == ["default"]
            assert answer["routed"] >= 1
            assert answer["seconds"] < QUICK


def test_gunicorn_whose_master_touched_none(world: ReplicaWorld) -> None:
    with served(world, workers=WORKERS) as address:
        for _ in range(2):
            written = httpx.get(f"{address}/write", timeout=PATIENCE).json()["number"]

            def all_have_it(newest: int = written) -> bool:
                answers = read_in_each_process(address).values()
                assert {answer["error"] for answer in answers} == {""}
                return all(answer["newest"] >= newest for answer in answers)

            wait_until(all_have_it)
