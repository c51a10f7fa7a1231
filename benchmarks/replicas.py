"""What reading a replica costs beside reading the local file.

The functions named after a kind of reading are called in a process of a project's.
"""

from __future__ import annotations

import sqlite3
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

from .comparison import SHORT, Comparison, in_turns, medians_in_turns
from .figures import MILLISECONDS, Figure
from .replicated_project import (
    REPLICA,
    ROOMY_REPLICA,
    Call,
    Projects,
    ReplicatedProject,
    some_keys,
)
from .results import Result, Table, Target

READS = 1_000
# Of the reads in a run. In turns with others each begins with a new snapshot, several
# times as often as a replica is polled.
ROUNDS = 3
ROWS_PER_SECOND = 10

LOCAL = "default"


def read_by_orm(alias: str, keys: Sequence[int], rounds: int = ROUNDS) -> float:
    """Return the seconds that one round of reading the keys took."""
    from .models import Note

    start = time.perf_counter()
    for _ in range(rounds):
        for key in keys:
            Note._default_manager.using(alias).get(pk=key)
    return (time.perf_counter() - start) / rounds


def read_in_atomic(alias: str, keys: Sequence[int]) -> float:
    from django.db import transaction

    with transaction.atomic(alias):
        return read_by_orm(alias, keys)


def read_by_sqlite3(alias: str, keys: Sequence[int], in_transaction: bool) -> float:
    """Read by the module alone, without this package's shared snapshot."""
    connection = _sqlite3_connection(alias)
    if in_transaction:
        connection.execute("BEGIN")
    start = time.perf_counter()
    for key in keys:
        connection.execute("SELECT * FROM note WHERE number = ?", (key,)).fetchone()
    taken = time.perf_counter() - start
    if in_transaction:
        connection.execute("COMMIT")
    return taken


def scan(alias: str) -> float:
    """Return the seconds it took to read every row's text."""
    from django.db.models import Sum
    from django.db.models.functions import Length

    from .models import Note

    start = time.perf_counter()
    Note._default_manager.using(alias).aggregate(characters=Sum(Length("text")))
    return time.perf_counter() - start


def begin_snapshot() -> float:
    """Return the seconds it took to end a snapshot and to read from another."""
    wrapper = _wrapper(REPLICA)
    with wrapper.cursor() as cursor:
        cursor.execute("SELECT * FROM note WHERE number = 1").fetchall()
        start = time.perf_counter()
        wrapper.snapshots.end()
        cursor.execute("SELECT * FROM note WHERE number = 1").fetchall()
        return time.perf_counter() - start


def connect_first() -> float:
    """Return the seconds that the first connection of a process took."""
    start = time.perf_counter()
    _wrapper(REPLICA).ensure_connection()
    return time.perf_counter() - start


def connect_again() -> float:
    start = time.perf_counter()
    connection = _new_connection(REPLICA)
    taken = time.perf_counter() - start
    connection.close()
    return taken


def _wrapper(alias: str) -> Any:
    from django.db import connections

    return connections[alias]


_opened: dict[str, sqlite3.Connection] = {}


def _sqlite3_connection(alias: str) -> sqlite3.Connection:
    if alias not in _opened:
        _wrapper(alias).ensure_connection()
        _opened[alias] = _new_connection(alias)
    return _opened[alias]


def _new_connection(alias: str) -> sqlite3.Connection:
    parameters = {**_wrapper(alias).get_connection_params(), "isolation_level": None}
    connection: sqlite3.Connection = sqlite3.connect(**parameters)
    return connection


def measure(projects: Projects, runs: int) -> Iterator[Result]:
    """Measure with projects by the megabytes of their database, smallest first."""
    with ExitStack() as processes:
        opened = [
            (megabytes, project, processes.enter_context(project.process()))
            for megabytes, project in projects
        ]
        yield from _by_size(opened, runs)
        middle = opened[len(opened) // 2]
        yield _kinds_of_reading(*middle, runs)


def _by_size(
    opened: Sequence[tuple[int, ReplicatedProject, Call]], runs: int
) -> Iterator[Result]:
    first_openings = [call(connect_first) for _, _, call in opened]
    keys = [some_keys(project.database, READS) for _, project, _ in opened]
    point_reads = [
        partial(call, read_by_orm, alias, of_this)
        for (_, _, call), of_this in zip(opened, keys, strict=True)
        for alias in (REPLICA, LOCAL)
    ]
    # Fills the caches.
    medians_in_turns(1, *point_reads)
    medians = medians_in_turns(SHORT * runs, *point_reads)
    reads = [
        Comparison(ours=ours, theirs=theirs)
        for ours, theirs in zip(medians[::2], medians[1::2], strict=True)
    ]
    others = medians_in_turns(
        runs,
        *(
            partial(call, *what)
            for _, _, call in opened
            for what in ((connect_again,), (begin_snapshot,), (scan, REPLICA))
        ),
    )
    middle = len(opened) // 2
    # That it does not grow is asked of these sizes, where both are measured.
    sizes = [megabytes for megabytes, *_ in opened]
    small = sizes.index(10) if 10 in sizes else 0
    large = sizes.index(1000) if 1000 in sizes else -1
    yield Target(
        what=f"{READS:,} ORM point reads, replica over local file, {opened[middle][0]} MB",
        measured=reads[middle].ratio,
        at_most=1.3,
    )
    yield Target(
        what=f"the same, replica at {sizes[large]} MB over replica at {sizes[small]} MB",
        measured=reads[large].ours / reads[small].ours,
        at_most=1.2,
    )
    yield Table(
        title="Replicas of several sizes",
        note=f"Times in milliseconds. {READS:,} point reads by the ORM, the pages cached, "
        "each outside of `atomic()`. An opening is that of another connection; a snapshot "
        "is begun anew once in a poll interval.",
        columns=(
            "database",
            "reads, replica",
            "reads, local",
            "ratio",
            "opening, first with loading",
            "opening",
            "new snapshot",
            "full scan",
        ),
        rows=[
            (
                f"{megabytes} MB",
                *_cells(one),
                *(
                    _milliseconds(value)
                    for value in (first, opening, snapshot, scanned)
                ),
            )
            for (megabytes, _, _), one, first, opening, snapshot, scanned in zip(
                opened,
                reads,
                first_openings,
                others[::3],
                others[1::3],
                others[2::3],
                strict=True,
            )
        ],
    )
    sizes = [size for size, _, _ in opened]
    for title, of_sizes in (
        ("Opening a replica", others[::3]),
        ("Beginning a snapshot of a replica", others[1::3]),
    ):
        values = dict(zip(sizes, of_sizes, strict=True))
        yield Figure(title=title, lines={"ours": values})


def _kinds_of_reading(
    megabytes: int, project: ReplicatedProject, call: Call, runs: int
) -> Table:
    keys = some_keys(project.database, READS)
    point_reads: dict[str, tuple[Any, ...]] = {
        "by the ORM": (read_by_orm, keys),
        "by the ORM, in `atomic()`": (read_in_atomic, keys),
        "by `sqlite3` alone, each by itself": (read_by_sqlite3, keys, False),
        "by `sqlite3` alone, in one transaction": (read_by_sqlite3, keys, True),
        "full scan": (scan,),
    }

    def compare(
        function: Callable[..., float], *arguments: Any, replica: str = REPLICA
    ) -> Comparison:
        ours = partial(call, function, replica, *arguments)
        theirs = partial(call, function, LOCAL, *arguments)
        # Fills the caches.
        medians_in_turns(1, ours, theirs)
        return in_turns(ours, theirs, SHORT * runs)

    compared = {name: compare(*what) for name, what in point_reads.items()}
    compared["full scan, `cache_size` that holds the database"] = compare(
        scan, replica=ROOMY_REPLICA
    )
    with _written_to(project.database):
        name = f"by the ORM, {ROWS_PER_SECOND} commits a second meanwhile"
        compared[name] = compare(read_by_orm, keys)
    return Table(
        title=f"Ways to read, {megabytes} MB",
        note=f"Times in milliseconds of {READS:,} point reads. `sqlite3` alone reads "
        "through the VFS without the snapshot that this package's backend has "
        "statements share.",
        columns=("what", "replica", "local", "ratio"),
        rows=[(name, *_cells(one)) for name, one in compared.items()],
    )


def _cells(compared: Comparison) -> tuple[str, str, str]:
    return (
        _milliseconds(compared.ours),
        _milliseconds(compared.theirs),
        f"{compared.ratio:.2f}",
    )


def _milliseconds(seconds: float) -> str:
    return f"{seconds * MILLISECONDS:.1f}"


@contextmanager
def _written_to(database: Path) -> Iterator[None]:
    """Have rows committed to a database for the length of the block."""
    is_over = threading.Event()

    def write() -> None:
        with closing(sqlite3.connect(database, timeout=60)) as connection:
            while not is_over.wait(1 / ROWS_PER_SECOND):
                with connection:
                    connection.execute("INSERT INTO note (text) VALUES ('written')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        is_over.set()
        writer.join()
