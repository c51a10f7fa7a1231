"""Local SQLite, the VFS through ``sqlite3`` and the VFS through this package's backend."""

from __future__ import annotations

import math
import os
import shutil
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from .comparison import SHORT, medians_in_turns
from .figures import NOT_MEASURED, Figure, milliseconds
from .reading import (
    AGGREGATE,
    KINDS,
    POINT_READS,
    SCAN,
    ByORM,
    BySQLite3,
    Reader,
    hydrate,
    keep_hydrated,
    open_once,
    read_cold,
    read_in_threads,
    read_warm,
)
from .replicated_project import (
    REPLICA,
    Call,
    ReplicatedProject,
    ReplicatedProjects,
    some_keys,
)
from .results import Table

KEYS = 1_000
THREADS = (1, 4, 16)
KEYS_OF_A_THREAD = 100

LOCAL_SQLITE3 = "local, `sqlite3`"
LOCAL_ORM = "local, ORM"
VFS_FILE = "VFS on a file, `sqlite3`"
VFS_S3 = "VFS on S3, `sqlite3`"
OUR_FILE = "ours on a file, ORM"
OUR_S3 = "ours on S3, ORM"
HYDRATED_FILE = "hydrated from a file, `sqlite3`"
HYDRATED_S3 = "hydrated from S3, `sqlite3`"
COMPARED = (LOCAL_SQLITE3, VFS_FILE, VFS_S3, LOCAL_ORM, OUR_FILE, OUR_S3)
HYDRATED = {VFS_FILE: HYDRATED_FILE, VFS_S3: HYDRATED_S3}

_HYDRATED_KINDS = (POINT_READS, SCAN)
# What reads more of a database that is larger.
_GROWING = (AGGREGATE, SCAN)

# How long the turns of one comparison go on.
_SECONDS = 3.0
# What would take longer, by what a smaller database took, is left out.
_TOO_LONG = 10.0


@dataclass(frozen=True, kw_only=True)
class Place:
    """Where one of those that are compared reads."""

    call: Call
    reader: Reader
    files: Sequence[Path]

    def warm(self, kind: str, keys: Sequence[int]) -> float:
        seconds: float = self.call(read_warm, self.reader, kind, keys)
        return seconds

    def cold(self, kind: str, keys: Sequence[int]) -> float:
        for file in self.files:
            # Litestream removes what it has compacted.
            with suppress(FileNotFoundError):
                _drop_from_cache(file)
        seconds: float = self.call(read_cold, self.reader, kind, keys)
        return seconds

    def threads(self, keys: Sequence[int], count: int) -> float:
        seconds: float = self.call(read_in_threads, self.reader, keys, count)
        return seconds / (len(keys) * count)


# By what was read, by who read it, by the megabytes.
Found = dict[str, dict[str, dict[int, float]]]


def measure(projects: ReplicatedProjects, runs: int) -> Iterator[Figure | Table]:
    cold: Found = {kind: {} for kind in KINDS}
    warm: Found = {kind: {} for kind in KINDS}
    hydrating: dict[str, dict[int, float]] = {}
    threads: list[Sequence[str]] = []
    middle = projects.megabytes[len(projects.megabytes) // 2]
    for (size, file), (_, s3) in zip(projects.file, projects.s3, strict=True):
        # The other may have been written to since.
        keys = some_keys(s3.database, KEYS)
        with ExitStack() as processes:
            places = _places(file, s3, processes)
            _compare("cold", places, keys, size, cold, runs)
            if size == middle:
                threads = _threads(places, keys[:KEYS_OF_A_THREAD], runs)
            copies = Path(projects.directory, f"hydrated-{size}")
            copies.mkdir()
            for name, seconds in _hydrate(places, copies).items():
                hydrating.setdefault(name, {})[size] = seconds
            _compare("warm", places, keys, size, warm, runs)
        shutil.rmtree(copies)
    yield from _tables(cold, warm, middle)
    yield _hydration_table(hydrating, warm)
    yield Table(
        title=f"Reads in threads, {middle} MB",
        note="Microseconds that one point read takes, by all the threads of a process "
        "together, each with a connection of its own; the pages are cached.",
        columns=(
            "who reads",
            "1 thread",
            *(f"{count} threads" for count in THREADS[1:]),
        ),
        rows=threads,
    )
    for temperature, found in (("cold", cold), ("warm", warm)):
        for kind in KINDS:
            lines = {
                name: found[kind][name] for name in COMPARED if name in found[kind]
            }
            yield Figure(title=f"{kind}, {temperature}".capitalize(), lines=lines)
    yield Figure(title="Hydrating", lines=hydrating)


def _places(
    file: ReplicatedProject, s3: ReplicatedProject, processes: ExitStack
) -> dict[str, Place]:
    of_file = processes.enter_context(file.process())
    of_s3 = processes.enter_context(s3.process())
    local = [file.database]
    ltx, objects = (
        [path for path in project.replica_files.rglob("*") if path.is_file()]
        for project in (file, s3)
    )
    places = {
        LOCAL_SQLITE3: Place(call=of_file, reader=BySQLite3("default"), files=local),
        VFS_FILE: Place(call=of_file, reader=BySQLite3(REPLICA), files=ltx),
        VFS_S3: Place(call=of_s3, reader=BySQLite3(REPLICA), files=objects),
        LOCAL_ORM: Place(call=of_file, reader=ByORM("default"), files=local),
        OUR_FILE: Place(call=of_file, reader=ByORM(REPLICA), files=ltx),
        OUR_S3: Place(call=of_s3, reader=ByORM(REPLICA), files=objects),
    }
    for place in places.values():
        place.call(open_once, place.reader)
    return places


def _compare(
    temperature: str,
    places: dict[str, Place],
    keys: Sequence[int],
    size: int,
    found: Found,
    runs: int,
) -> None:
    """Measure all kinds of reading, and put what they took into ``found``."""
    for kind in KINDS:
        by_name = found[kind]
        measures = {
            name: partial(getattr(place, temperature), kind, keys)
            for name, place in places.items()
            if (name in COMPARED or kind in _HYDRATED_KINDS)
            and (kind not in _GROWING or _expected(by_name.get(name), size) < _TOO_LONG)
        }
        if temperature == "warm":
            # Fills the caches.
            medians_in_turns(1, *measures.values())
        medians = medians_in_turns(SHORT * runs, *measures.values(), seconds=_SECONDS)
        for name, seconds in zip(measures, medians, strict=True):
            by_name.setdefault(name, {})[size] = seconds


def _expected(measured: dict[int, float] | None, size: int) -> float:
    """Return what reading may take that grows as the database does."""
    if not measured:
        return 0.0
    largest = max(measured)
    return measured[largest] * size / largest


def _hydrate(places: dict[str, Place], copies: Path) -> dict[str, float]:
    """Add the hydrated readers to ``places``; return what their first copy took."""
    taken: dict[str, float] = {}
    for name, hydrated in HYDRATED.items():
        place = places[name]
        copy = copies / f"{len(taken)}.db"
        reader = BySQLite3(REPLICA, str(copy))
        taken[hydrated] = place.call(hydrate, reader)
        # Litestream removes it where the connection was closed too soon after the end.
        copy.unlink(missing_ok=True)
        place.call(keep_hydrated, reader)
        places[hydrated] = Place(call=place.call, reader=reader, files=())
    return taken


def _threads(
    places: dict[str, Place], keys: Sequence[int], runs: int
) -> list[Sequence[str]]:
    by_count = [
        medians_in_turns(
            SHORT * runs,
            *(partial(place.threads, keys, count) for place in places.values()),
            seconds=2 * _SECONDS,
        )
        for count in THREADS
    ]
    return [
        (name, *(f"{seconds * 1e6:,.1f}" for seconds in of_this))
        for name, *of_this in zip(places, *by_count, strict=True)
    ]


def _tables(cold: Found, warm: Found, middle: int) -> Iterator[Table]:
    notes = {
        "warm": "On a connection that has read the same before.",
        "cold": "With the opening of a connection, and with none of the files in the "
        "system's cache.",
    }
    for temperature, found in (("warm", warm), ("cold", cold)):
        yield Table(
            title=f"Reads, {temperature}",
            note=f"Milliseconds. {notes[temperature]} `sqlite3` is Python's module alone, "
            "each statement by itself; ours is the ORM on this package's backend. S3 is "
            "rclone's on the same machine. Left out is what would take longer than "
            f"{_TOO_LONG:.0f} s.",
            columns=(
                "what",
                *COMPARED,
                "VFS on a file / local",
                "ours on a file / local",
                "ours / VFS, S3",
            ),
            rows=[
                (
                    f"{kind}, {size:,} MB",
                    *(milliseconds(found[kind][name].get(size)) for name in COMPARED),
                    *(
                        _ratio(found[kind], size, *pair)
                        for pair in (
                            (VFS_FILE, LOCAL_SQLITE3),
                            (OUR_FILE, LOCAL_ORM),
                            (OUR_S3, VFS_S3),
                        )
                    ),
                )
                for kind in KINDS
                for size in found[kind][LOCAL_SQLITE3]
            ],
        )


def _ratio(
    found: dict[str, dict[int, float]], size: int, ours: str, theirs: str
) -> str:
    ratio = found[ours].get(size, math.nan) / found[theirs].get(size, math.nan)
    return NOT_MEASURED if math.isnan(ratio) else f"{ratio:.2f}"


def _hydration_table(hydrating: dict[str, dict[int, float]], warm: Found) -> Table:
    return Table(
        title="Hydration",
        note="Milliseconds, by `sqlite3` alone: this package's backend does not hydrate. "
        "With hydration Litestream reads from a local copy of the database, once it has "
        "made that in the background; without, it reads as in the table above.",
        columns=(
            "replica",
            "copied in",
            f"{POINT_READS}, with",
            "without",
            f"{SCAN}, with",
            "without",
        ),
        rows=[
            (
                f"{plain.removesuffix(', `sqlite3`')}, {size:,} MB",
                milliseconds(hydrating[hydrated][size]),
                *(
                    milliseconds(warm[kind][name].get(size))
                    for kind in _HYDRATED_KINDS
                    for name in (hydrated, plain)
                ),
            )
            for plain, hydrated in HYDRATED.items()
            for size in hydrating[hydrated]
        ],
    )


def _drop_from_cache(path: Path) -> None:
    """Have the system forget what it holds of a file (not on macOS and Windows)."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    finally:
        os.close(descriptor)
