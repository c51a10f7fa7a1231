"""Reading from replicas: the right rows, in time, and nothing but reading."""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from django.db import NotSupportedError, connections, transaction

from .project import PATIENCE
from .replica_app.models import Note
from .replica_world import (
    ReplicaWorld,
    count_notes,
    in_threads,
    missing_for,
    replica_world,
    wait_for_notes,
)

PRIMARIES = ("default", "other")
THREADS_PER_REPLICA = 8

# For how long the tests of compaction read, which Litestream does after six seconds or,
# by itself, after thirty.
SECONDS_OF_READING = "DJANGO_LITESTREAM_TEST_SECONDS_OF_READING"
POLL_INTERVAL = 0.2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """Two databases with notes, replicated."""
    directory = tmp_path_factory.mktemp("reads")
    with replica_world(directory / "project", *PRIMARIES) as made:
        for alias in PRIMARIES:
            made.write_note(alias)
        with made.replicating():
            yield made


@dataclass(frozen=True)
class Reads:
    """What one thread has read."""

    count: int
    sources: set[str]
    sources_of_default: set[str]
    rows_at_first: int
    rows_at_last: int
    longest_missing: float


def read_in_threads(seconds: float) -> list[Reads]:
    deadline = time.monotonic() + seconds

    def read(number: int) -> Reads:
        primary = PRIMARIES[number % len(PRIMARIES)]
        replica = f"{primary}_replica"
        sources: set[str] = set()
        of_default: set[str] = set()
        rows: list[int] = []
        longest = 0.0
        while time.monotonic() < deadline:
            for _ in range(10):
                notes = list(Note.objects.using(replica).order_by("-pk")[:20])
                sources.update(note.source for note in notes)
                rows.append(notes[0].pk)
            of_default.update(Note.objects.values_list("source", flat=True)[:20])
            longest = max(longest, missing_for(replica, primary))
        return Reads(len(rows), sources, of_default, rows[0], rows[-1], longest)

    return in_threads(THREADS_PER_REPLICA * len(PRIMARIES), read)


def test_each_thread_reads_its_own_replica_and_sees_what_is_written(
    world: ReplicaWorld,
) -> None:
    with world.writing(), world.worker() as worker:
        found = worker.call(read_in_threads, 8.0)

    assert all(reads.count > 10 for reads in found)
    for number, reads in enumerate(found):
        assert reads.sources == {PRIMARIES[number % len(PRIMARIES)]}
        assert reads.sources_of_default == {"default"}
        assert reads.rows_at_last > reads.rows_at_first + 20
        assert reads.longest_missing < POLL_INTERVAL + 2


def use_own_intervals(world: ReplicaWorld) -> None:
    """Leave it to Litestream how often it replicates and polls."""
    for entry in world.litestream["dbs"]:
        del entry["monitor-interval"], entry["replica"]["sync-interval"]
    for replica in world.vfs.values():
        del replica["poll_interval"]
    world.write_settings()


def longest_missing(seconds: float) -> float:
    connections["default_replica"].ensure_connection()
    deadline = time.monotonic() + seconds
    longest = 0.0
    while time.monotonic() < deadline:
        longest = max(longest, missing_for("default_replica", "default"))
        time.sleep(0.1)
    return longest


@pytest.mark.parametrize("levels", ["short", "Litestream's own"])
def test_a_connection_older_than_the_first_compaction_goes_on_reading(
    tmp_path: Path, levels: str
) -> None:
    seconds = float(os.environ.get(SECONDS_OF_READING, 0))
    general: dict[str, object] = {}
    if levels == "short":
        general["levels"] = [{"interval": "6s"}]
        seconds = seconds or 40.0
    elif not seconds:
        pytest.skip(f"takes three minutes: run it with {SECONDS_OF_READING}=180")
    with replica_world(tmp_path / "project", **general) as world:
        use_own_intervals(world)
        world.write_note()
        with world.replicating(), world.worker() as worker, world.writing():
            assert not list(world.replica_of("default").glob("ltx/1/*"))
            worker.begin(longest_missing, seconds)
            longest = worker.result(seconds + PATIENCE)

        assert len(list(world.replica_of("default").glob("ltx/1/*"))) > 2
    print(f"A row was missing for {longest:.1f} s at most.")
    assert longest < 10


def read_after_losing_pages() -> tuple[int, bool]:
    """Return what is read, and whether that took another connection."""
    alias = "default_replica"
    count = count_notes(alias)
    first = connections[alias].connection
    failures = iter([sqlite3.OperationalError("SQL logic error")])

    def read_in_time(read: Callable[[], Any]) -> Any:
        for failure in failures:
            raise failure
        return read()

    connections[alias].read_in_time = read_in_time  # type: ignore[attr-defined]
    assert count_notes(alias) >= count
    return count, connections[alias].connection is not first


def test_a_read_that_fails_is_tried_on_another_connection(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        count, is_another = worker.call(read_after_losing_pages)
    assert count > 0
    assert is_another


def write_by_save() -> None:
    Note(source="replica", written_at=0).save(using="default_replica")


def write_by_saving_what_was_read() -> None:
    Note.objects.using("default_replica").latest("pk").save()


def write_by_delete() -> None:
    Note.objects.using("default_replica").all().delete()


def write_by_update() -> None:
    Note.objects.using("default_replica").update(source="replica")


def write_by_bulk_create() -> None:
    Note.objects.using("default_replica").bulk_create(
        [Note(source="replica", written_at=0)]
    )


def write_by_sql() -> None:
    with connections["default_replica"].cursor() as cursor:
        cursor.execute("DELETE FROM replica_app_note")


def write_by_many_statements() -> None:
    with connections["default_replica"].cursor() as cursor:
        cursor.executemany(
            "INSERT INTO replica_app_note (source, written_at) VALUES (%s, 0)",
            [("replica",)] * 2,
        )


def write_inside_of_atomic() -> None:
    with transaction.atomic("default_replica"):
        assert Note.objects.using("default_replica").exists()
        write_by_save()


def write_inside_of_a_savepoint() -> None:
    with transaction.atomic("default_replica"), transaction.atomic("default_replica"):
        write_by_sql()


def write_by_schema_editor() -> None:
    with connections["default_replica"].schema_editor() as editor:
        editor.delete_model(Note)


def refused(write: Callable[[], None]) -> tuple[str, int]:
    """Return what is said when a write is tried, and the rows that are read then."""
    with pytest.raises(NotSupportedError) as refusal:
        write()
    return str(refusal.value), Note.objects.using("default_replica").count()


def test_writing_is_refused_and_the_primary_named(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        count = worker.call(count_notes, "default")
        worker.call(wait_for_notes, "default_replica", count)
        for write in (
            write_by_save,
            write_by_saving_what_was_read,
            write_by_delete,
            write_by_update,
            write_by_bulk_create,
            write_by_sql,
            write_by_many_statements,
            write_inside_of_atomic,
            write_inside_of_a_savepoint,
            write_by_schema_editor,
        ):
            assert worker.call(refused, write) == (
                "'default_replica' is a read replica of 'default' and cannot be written "
                "to: write to 'default'.",
                count,
            ), write
