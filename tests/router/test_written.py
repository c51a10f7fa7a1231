"""What was written is read from the primary, for as long as it has to be."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from django.db import (
    connection,
    connections,
    transaction,
)

from django_litestream.routing import unit_of_work

from ..project import wait_until
from ..replica_app.models import Book, Note
from ..replica_world import Worker, in_threads
from .places import ROUTED, decisions, wait_until_read_from


def in_transactions() -> list[set[str]]:
    found = []
    with unit_of_work():
        with transaction.atomic():
            found += [set(decisions(Note)), set(decisions(Book))]
            with transaction.atomic():
                found.append(set(decisions(Note)))
        # Nothing was written in it.
        found.append(set(decisions(Note)))
        with transaction.atomic("other"):
            found += [set(decisions(Note)), set(decisions(Book))]
    return found


def test_inside_of_atomic_it_is_the_primary_that_is_read(worker: Worker) -> None:
    default, other = ROUTED["default"], ROUTED["other"]
    expected = [{"default"}, other, {"default"}, default, default, {"other"}]

    def is_routed() -> bool:
        found = worker.call(in_transactions)
        # A busy machine may have a replica's place taken by its primary for a moment.
        assert [found[0], found[2], found[5]] == [{"default"}, {"default"}, {"other"}]
        assert found[1] <= other | {"other"}
        assert found[3] | found[4] <= default | {"default"}
        return found == expected

    wait_until(is_routed)


WRITES = (
    "INSERT INTO replica_app_note (source, written_at) VALUES ('sql', 0)",
    "  \n insert into replica_app_note (source, written_at) values ('sql', 0)",
    "UPDATE replica_app_note SET written_at = 1 WHERE source = 'sql'",
    "REPLACE INTO replica_app_note (id, source, written_at) VALUES (9999, 'sql', 0)",
    "WITH n(x) AS (SELECT 'sql')\nINSERT INTO replica_app_note (source, written_at) "
    "SELECT x, 0 FROM n",
    "DELETE FROM replica_app_note WHERE source = 'sql'",
    "CREATE TABLE made_by_sql (x)",
    "/* a comment */ DROP TABLE made_by_sql",
)


READS = (
    "SELECT count(*) FROM replica_app_note",
    "WITH n(x) AS (SELECT 1) SELECT x FROM n",
    "VALUES (1)",
    "PRAGMA table_info(replica_app_note)",
    "EXPLAIN SELECT 1",
)


def places_after_sql(*statements: str) -> dict[str, set[str]]:
    """Return where is read from after each, in a unit of work of its own."""
    found = {}
    for sql in statements:
        with unit_of_work(), connection.cursor() as cursor:
            cursor.execute(sql)
            found[sql] = set(decisions(Note))
        assert set(decisions(Note)) == ROUTED["default"], "a unit of work has not ended"
    return found


def places_after_many() -> set[str]:
    with unit_of_work(), connection.cursor() as cursor:
        cursor.executemany(
            "UPDATE replica_app_note SET written_at = %s WHERE source = 'none'", [(1,)]
        )
        return set(decisions(Note))


def test_writes_by_sql_are_noted(worker: Worker) -> None:
    places = worker.call(places_after_sql, *WRITES)
    assert list(places.values()) == [{"default"}] * len(WRITES)
    places = worker.call(places_after_sql, *READS)
    assert list(places.values()) == [ROUTED["default"]] * len(READS)
    assert worker.call(places_after_many) == {"default"}


def connect_inside_of_a_wrapper() -> tuple[list[str], set[str]]:
    """Return what was left of the wrappers, and where is read from after a write."""
    calls = []

    def wrapper(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        calls.append(sql)
        return execute(sql, *rest)

    def work(number: int) -> tuple[list[str], set[str]]:
        wait_until_read_from()
        with connection.execute_wrapper(wrapper):
            connection.ensure_connection()
        left = [type(one).__name__ for one in connection.execute_wrappers]
        with unit_of_work():
            Note.objects.filter(source="none").update(written_at=1)
            return left, set(decisions(Note))

    connections["default"].close()
    (found,) = in_threads(1, work)
    return found


def test_a_connection_opened_inside_of_a_wrapper_is_watched(worker: Worker) -> None:
    assert worker.call(connect_inside_of_a_wrapper) == (["_WriteWatch"], {"default"})


def write_in_units() -> list[set[str]]:
    found = []

    @unit_of_work()
    def task() -> set[str]:
        Note.objects.filter(source="none").update(written_at=1)
        return set(decisions(Note))

    found += [task(), set(decisions(Note))]
    with unit_of_work() as unit:
        assert not unit.written
        Note.objects.filter(source="none").update(written_at=1)
        assert unit.written == {"default"}
        found += [set(decisions(Note)), set(decisions(Book))]
    with unit_of_work() as unit:
        assert not unit.written
        found.append(set(decisions(Note)))
    with suppress(ZeroDivisionError), unit_of_work():
        Note.objects.filter(source="none").update(written_at=1)
        raise ZeroDivisionError
    found.append(set(decisions(Note)))
    return found


def test_a_write_counts_to_the_end_of_its_unit_of_work(worker: Worker) -> None:
    assert worker.call(write_in_units) == [
        {"default"},
        ROUTED["default"],
        {"default"},
        ROUTED["other"],
        ROUTED["default"],
        ROUTED["default"],
    ]


def write_in_nested_units() -> list[set[str]]:
    found = []

    @unit_of_work()
    def task() -> None:
        found.append(set(decisions(Note)))
        Note.objects.filter(source="none").update(written_at=1)
        raise ZeroDivisionError

    with unit_of_work() as unit:
        found.append(set(decisions(Note)))
        unit.needed = {"default": 2**40}
        with suppress(ZeroDivisionError):
            task()
        unit.needed = {}
        assert unit.written == {"default"}
        found.append(set(decisions(Note)))
        with unit_of_work():
            found.append(set(decisions(Note)))
    found.append(set(decisions(Note)))
    return found


def test_a_unit_of_work_inside_of_another_is_a_part_of_it(worker: Worker) -> None:
    assert worker.call(write_in_nested_units) == [
        ROUTED["default"],
        {"default"},
        {"default"},
        {"default"},
        ROUTED["default"],
    ]


def write_between_units() -> list[set[str]]:
    """What is written where no unit has begun lasts as long as its thread."""

    def write_and_work() -> list[set[str]]:
        Note.objects.filter(source="none").update(written_at=1)
        found = [set(decisions(Note))]
        with unit_of_work():
            wait_until(lambda: set(decisions(Note)) == ROUTED["default"])
        return [*found, set(decisions(Note))]

    return in_threads(1, lambda _: write_and_work())[0]


def test_a_unit_of_work_ends_what_was_written_before_any(worker: Worker) -> None:
    assert worker.call(write_between_units) == [{"default"}, {"default"}]


def wait_for_needed() -> list[set[str]]:
    found = []
    with unit_of_work():
        note = Note.objects.create(source="needed", written_at=0)
    wait_until(lambda: Note.objects.using("second_replica").filter(pk=note.pk).exists())
    newest = connections["second_replica"].snapshots.last.txid  # type: ignore[attr-defined]
    with unit_of_work() as unit:
        unit.needed = {"default": newest + 1_000}
        found += [set(decisions(Note)), set(decisions(Book))]
        unit.needed = {"default": newest}
        wait_until(lambda: set(decisions(Note)) == ROUTED["default"])
        found.append(set(decisions(Note)))
        for alias in ROUTED["default"]:
            assert Note.objects.using(alias).filter(pk=note.pk).exists()
    return found


def test_a_replica_is_read_from_once_it_has_what_is_needed(worker: Worker) -> None:
    assert worker.call(wait_for_needed) == [
        {"default"},
        ROUTED["other"],
        ROUTED["default"],
    ]


def write_beside_an_open_iterator() -> tuple[set[str], set[str]]:
    """Return where is read from while a cursor has rows left, and afterwards."""
    with unit_of_work():
        Note.objects.bulk_create([Note(source="many", written_at=0)] * 2_000)
    for alias in ROUTED["default"]:
        wait_until(lambda of=alias: Note.objects.using(of).count() > 2_000)
    iterators = [
        Note.objects.using(alias).iterator(chunk_size=1) for alias in ROUTED["default"]
    ]
    for rows in iterators:
        assert next(rows).pk
    with unit_of_work():
        note = Note.objects.create(source="beside", written_at=0)
    # SQLite stays on the snapshot that is being read, so no replica shows it.
    wait_until(lambda: Note.objects.filter(pk=note.pk).exists())
    meanwhile = set(decisions(Note))
    for rows in iterators:
        assert len(list(rows)) > 1_000
    wait_until(lambda: set(decisions(Note)) == ROUTED["default"])
    return meanwhile, set(decisions(Note))


def test_no_replica_is_read_from_whose_snapshot_an_iterator_holds(
    worker: Worker,
) -> None:
    assert worker.call(write_beside_an_open_iterator) == (
        {"default"},
        ROUTED["default"],
    )


def write_in_one_of_many_threads() -> list[set[str]]:
    barrier = threading.Barrier(4)

    def work(number: int) -> set[str]:
        wait_until_read_from()
        barrier.wait()
        if number == 0:
            Note.objects.filter(source="none").update(written_at=1)
        barrier.wait()
        return set(decisions(Note))

    return in_threads(4, work)


def test_threads_do_not_share_what_they_wrote(worker: Worker) -> None:
    others = [ROUTED["default"]] * 3
    assert worker.call(write_in_one_of_many_threads) == [{"default"}, *others]


async def _read_and_write_in_tasks() -> list[set[str]]:
    has_written = asyncio.Event()

    async def reads_from(count: int = 50) -> set[str]:
        notes = [await Note.objects.order_by("pk").afirst() for _ in range(count)]
        return {str(note._state.db) for note in notes if note}

    async def write() -> set[str]:
        await Note.objects.filter(source="none").aupdate(written_at=1)
        has_written.set()
        return await reads_from()

    async def read() -> set[str]:
        await has_written.wait()
        return await reads_from()

    while await reads_from() != ROUTED["default"]:
        await asyncio.sleep(0.05)
    found = await asyncio.gather(write(), read(), read())
    # The one in whose context the tasks were made has written nothing either.
    return [*found, await reads_from()]


def read_and_write_in_tasks() -> list[set[str]]:
    return asyncio.run(_read_and_write_in_tasks())


def test_tasks_do_not_share_what_they_wrote(worker: Worker) -> None:
    others = [ROUTED["default"]] * 3
    assert worker.call(read_and_write_in_tasks) == [{"default"}, *others]
