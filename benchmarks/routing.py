"""What a decision of the router costs.

The functions that take a number are called in a process of a project's.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import partial

from .comparison import SHORT, in_turns, medians_in_turns
from .figures import Figure
from .replicated_project import REPLICA, Projects, ReplicatedProjects
from .results import Result, Table, Target

# So few that on a busy machine most runs of them are not interrupted.
DECISIONS = 1_000
MICROSECONDS = 1_000_000


def decide(count: int) -> float:
    """Return the seconds of one decision, of many in a row."""
    from django.db import router

    return _time(router, count)


def decide_without_routers(count: int) -> float:
    """Decide as with ``DATABASE_ROUTERS=[]``."""
    from django.db.utils import ConnectionRouter

    return _time(ConnectionRouter([]), count)


def decide_by_multidb(count: int) -> float:
    """Decide by django-multidb-router, for a thread that is not pinned."""
    from django.db.utils import ConnectionRouter

    return _time(ConnectionRouter(["multidb.PinningReplicaRouter"]), count)


def decide_by_pinned_multidb(count: int) -> float:
    """Decide by it in a request of a client that has just written."""
    from django.db.utils import ConnectionRouter
    from multidb.pinning import use_primary_db  # type: ignore[import-untyped]

    with use_primary_db:
        return _time(ConnectionRouter(["multidb.PinningReplicaRouter"]), count)


def decide_after_write(count: int) -> float:
    """Decide for a client whose cookie says what it wrote, which the replica has."""
    from django.db import connections, router

    from django_litestream.routing import unit_of_work

    with unit_of_work() as unit:
        _read_from_replica()
        unit.needed = {"default": connections[REPLICA].snapshots.last.txid}  # type: ignore[attr-defined]
        return _time(router, count)


def decide_in_writing_request(count: int) -> float:
    from django.db import router

    from django_litestream.routing import unit_of_work

    with unit_of_work() as unit:
        unit.written = {"default"}
        return _time(router, count)


def decide_after_interval(count: int) -> float:
    """Decide where the last snapshot has run out, as a request does first."""
    from django.db import connections, router

    from .models import Note

    taken = 0.0
    for _ in range(count):
        _read_from_replica()
        connections[REPLICA].snapshots.end()  # type: ignore[attr-defined]
        start = time.perf_counter()
        alias = router.db_for_read(Note)
        taken += time.perf_counter() - start
        assert alias == REPLICA, alias
    return taken / count


def _time(router: object, count: int) -> float:
    from .models import Note

    _read_from_replica()
    decide = router.db_for_read  # type: ignore[attr-defined]
    start = time.perf_counter()
    for _ in range(count):
        decide(Note)
    return (time.perf_counter() - start) / count


def wait_for_health(seconds: float) -> float:
    """Return how long it took until the router chose the replica."""
    from django.db import router

    from .models import Note

    start = time.perf_counter()
    while router.db_for_read(Note) != REPLICA:
        assert time.perf_counter() - start < seconds, "no replica became healthy"
        time.sleep(0.01)
    return time.perf_counter() - start


def _read_from_replica() -> None:
    """Have a snapshot that a decision may rely on."""
    from .models import Note

    Note._default_manager.using(REPLICA).get(pk=1)


def measure(projects: ReplicatedProjects, runs: int) -> Iterator[Result]:
    _, project = projects.file[len(projects.file) // 2]
    with project.process() as call:
        healthy_after = call(wait_for_health, 60.0)
        bare = partial(call, decide_without_routers, DECISIONS)
        compared = in_turns(partial(call, decide, DECISIONS), bare, SHORT * runs)
        others: dict[str, Callable[[], float]] = {
            "in a request of a client whose write the replica has": partial(
                call, decide_after_write, DECISIONS
            ),
            "in a request that has written": partial(
                call, decide_in_writing_request, DECISIONS
            ),
            "the first after a poll interval without reading": partial(
                call, decide_after_interval, 100
            ),
            "django-multidb-router": partial(call, decide_by_multidb, DECISIONS),
            "django-multidb-router, in a request that has written": partial(
                call, decide_by_pinned_multidb, DECISIONS
            ),
        }
        medians = medians_in_turns(SHORT * runs, *others.values())
    yield Target(
        what="one router decision, replica healthy, over DATABASE_ROUTERS=[]",
        measured=compared.difference * MICROSECONDS,
        at_most=3,
        unit=" µs",
    )
    yield Table(
        title="Decisions of the router",
        note="Microseconds of one `router.db_for_read(Model)`. The replica was healthy "
        f"{healthy_after:.1f} s after the first decision of its process. "
        "django-multidb-router takes the next replica of a list, whatever its state.",
        columns=("what", "µs"),
        rows=[
            (name, f"{taken * MICROSECONDS:.2f}")
            for name, taken in {
                "`DATABASE_ROUTERS = []`": compared.theirs,
                "replica healthy": compared.ours,
                **dict(zip(others, medians, strict=True)),
            }.items()
        ],
    )
    yield Figure(
        title="One decision of the router", lines=_by_size(projects.file, runs)
    )


def _by_size(projects: Projects, runs: int) -> dict[str, dict[int, float]]:
    found: dict[str, dict[int, float]] = {"ours": {}, "django-multidb-router": {}}
    for size, project in projects:
        with project.process() as call:
            call(wait_for_health, 60.0)
            decided = medians_in_turns(
                SHORT * runs,
                partial(call, decide, DECISIONS),
                partial(call, decide_by_multidb, DECISIONS),
            )
        for of_one, seconds in zip(found.values(), decided, strict=True):
            of_one[size] = seconds
    return found
