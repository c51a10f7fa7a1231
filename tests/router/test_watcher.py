"""One thread watches the replicas, and no decision waits for it."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

from django.conf import settings
from django.db import router
from django.test import override_settings

from django_litestream import health
from django_litestream.vfs.forks import forks

from ..project import wait_until
from ..replica_app.models import Note
from ..replica_world import ReplicaWorld, Worker, in_threads
from ..test_vfs_forks import in_forked_child
from ..timing import Times, timed
from .places import ROUTED, decisions, wait_until_read_from


async def _decide_in_the_event_loop() -> str:
    return router.db_for_read(Note)


def decide_in_the_event_loop() -> str:
    return asyncio.run(_decide_in_the_event_loop())


def test_a_decision_in_an_event_loop_is_the_primary_or_a_replica(
    worker: Worker,
) -> None:
    """A queryset may be asked for its database there; nothing is opened for that."""
    assert worker.call(decide_in_the_event_loop) in {"default", *ROUTED["default"]}


def start_watching() -> tuple[str, int, int]:
    """Return the first decision, and how many watchers a crowd has started."""
    first = router.db_for_read(Note)
    in_threads(8, lambda number: decisions(Note))
    names = [thread.name for thread in threading.enumerate()]
    watcher = health.watcher()
    return first, names.count("litestream-health"), health.watcher() is watcher


def test_one_thread_watches_and_the_first_decision_waits_for_nothing(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        assert worker.call(start_watching) == ("default", 1, True)


def fork_with_a_watcher_that_has_loaded_nothing(
    library: str,
) -> tuple[bool, list[Any], int]:
    project: Any = settings
    litestream: dict[str, Any] = project.LITESTREAM
    with override_settings(LITESTREAM=litestream | {"vfs_extension_path": library}):
        watcher = health.watcher()
        assert watcher is not None
        wait_until(lambda: watcher._said)
        assert set(decisions(Note)) == {"default"}

        def watch_anew() -> list[Any]:
            anew = health.watcher()
            assert anew is not None
            assert anew is not watcher
            with override_settings(LITESTREAM=litestream):
                wait_until_read_from()
            return [anew._thread.is_alive(), watcher._thread.is_alive()]

        return forks.loaded, *in_forked_child(watch_anew)


def test_the_watcher_is_replaced_after_a_fork(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        found = worker.call(fork_with_a_watcher_that_has_loaded_nothing, "/nowhere.so")
    assert found == (False, [True, False], 0)
    assert "vfs_extension_path'] is /nowhere.so" in world.worker_log()


def time_decisions(count: int) -> Times:
    return Times.of([timed(lambda: router.db_for_read(Note)) for _ in range(count)])


def test_a_decision_takes_no_time(worker: Worker) -> None:
    times = worker.call(time_decisions, 20_000)
    print(f"A decision took {times.median * 1e6:.1f} µs, {times.longest * 1e3:.1f} ms.")
    times.assert_unnoticeable()
    assert times.median < 0.0005
