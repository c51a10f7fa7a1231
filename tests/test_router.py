"""Where the router reads and writes, and what that costs."""

from __future__ import annotations

import asyncio
import datetime
import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import pytest
from django.conf import settings
from django.db import (
    NotSupportedError,
    connection,
    connections,
    router,
    transaction,
)
from django.db.models import Model
from django.test import override_settings

from django_litestream import health, time_travel
from django_litestream.routing import unit_of_work
from django_litestream.vfs.forks import forks

from .project import wait_until
from .replica_app.models import Author, Book, Note
from .replica_world import ReplicaWorld, Worker, in_threads, replica_world
from .routing_project.site import make_site
from .test_vfs_forks import in_forked_child
from .timing import Times, timed

ROUTED = {"default": {"default_replica", "second_replica"}, "other": {"other_replica"}}

DETAILS: dict[str, Any] = {
    "pages": 1,
    "price": 1,
    "published": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC),
}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """Two databases, two replicas of the one, one of the other, and some not read."""
    directory = tmp_path_factory.mktemp("router")
    # A compaction may have a replica's place taken by its primary for a moment.
    seldom = [{"interval": "1h"}]
    with replica_world(
        directory / "project", "default", "other", levels=seldom
    ) as made:
        replica = made.vfs["default_replica"]
        made.vfs["second_replica"] = replica
        made.vfs["kept_out"] = {**replica, "route": False}
        made.vfs["nowhere"] = {**replica, "url": (directory / "nowhere").as_uri()}
        make_site(made, "tests.routing_project.routers.BooksElsewhere")
        made.write_note()
        with made.replicating():
            yield made


@pytest.fixture(scope="module")
def worker(world: ReplicaWorld) -> Iterator[Worker]:
    """A process in which replicas are read already."""
    with world.worker() as made:
        made.call(make_rows)
        made.call(wait_until_read_from)
        yield made


def books_of(author: Author) -> Any:
    """Return the related manager, which the type checker does not see."""
    return vars(Author)["books"].__get__(author)


def make_rows() -> None:
    with unit_of_work():
        author = Author.objects.create(name="A", born=datetime.date(1900, 1, 1))
        books_of(author).create(title="B", **DETAILS)
    wait_until(lambda: Book.objects.using("other_replica").exists())


def decisions(model: type[Model], count: int = 200) -> Counter[str]:
    return Counter(router.db_for_read(model) for _ in range(count))


def wait_until_read_from() -> None:
    """Wait until this thread has its connections to all the replicas."""
    wait_until(lambda: set(decisions(Note)) == ROUTED["default"])
    wait_until(lambda: set(decisions(Book)) == ROUTED["other"])


def test_reads_go_to_a_replica_of_the_models_primary_at_random(worker: Worker) -> None:
    found = worker.call(decisions, Note)
    assert set(found) == ROUTED["default"]
    assert min(found.values()) > 40
    assert set(worker.call(decisions, Book)) == ROUTED["other"]


def write_anew() -> list[str]:
    with unit_of_work():
        note = Note.objects.create(source="test", written_at=0)
        author = Author.objects.create(name="C", born=datetime.date(1900, 1, 1))
        books_of(author).create(title="D", **DETAILS)
        Note.objects.bulk_create([Note(source="test", written_at=0)])
        Note.objects.filter(pk=note.pk).update(source="changed")
        return [
            str(note._state.db),
            str(author._state.db),
            str(books_of(author).latest("pk")._state.db),
            router.db_for_write(Note),
            router.db_for_write(Book),
        ]


def test_writes_go_to_the_primary(worker: Worker) -> None:
    assert worker.call(write_anew) == ["default", "other", "other", "default", "other"]


def write_what_was_read() -> list[str]:
    places = []
    with unit_of_work():
        note = Note.objects.order_by("pk")[0]
        places.append(str(note._state.db))
        note.source = "from a replica"
        note.save()
        places.append(str(note._state.db))
        stored = Note.objects.using("default").get(pk=note.pk)
        assert stored.source == "from a replica"
    with unit_of_work():
        book = Book.objects.get(title="B")
        places += [str(book._state.db), str(book.author._state.db)]
        books_of(book.author).filter(pk=book.pk).update(pages=2)
        assert Book.objects.using("other").get(pk=book.pk).pages == 2
    with unit_of_work():
        extra = Note.objects.using("default").create(source="extra", written_at=0)
        Note(pk=extra.pk).refresh_from_db()
        extra._state.db = "default_replica"
        extra.delete()
        assert not Note.objects.using("default").filter(source="extra").exists()
    return places


def test_what_was_read_from_a_replica_is_saved_to_its_primary(worker: Worker) -> None:
    read_from, saved_to, book, author = worker.call(write_what_was_read)
    assert read_from in ROUTED["default"]
    assert (saved_to, book, author) == ("default", "other_replica", "other_replica")


def places_related_to(alias: str, model: type[Model]) -> set[str]:
    instance = Note()
    instance._state.db = alias
    hints = {"instance": instance}
    return {str(router.db_for_read(model, **hints)) for _ in range(200)}


def test_related_rows_are_never_older_than_the_instance(worker: Worker) -> None:
    """From another replica they might be, so that what it refers to is not there."""
    for alias, place in (
        ("second_replica", "second_replica"),
        ("kept_out", "default"),
        ("default", "default"),
    ):
        assert worker.call(places_related_to, alias, Note) == {place}
    # The transactions of another database are in no order with these.
    assert worker.call(places_related_to, "second_replica", Book) == ROUTED["other"]


def stay_in_the_past() -> tuple[bool, str]:
    with unit_of_work(), time_travel("other_replica", "0 seconds ago") as past:
        book = Book.objects.using(past).get(title="B")
        book.refresh_from_db()
        stays = {book._state.db, book.author._state.db} == {past}
        stays = stays and books_of(book.author).get(title="B")._state.db == past
        stays = stays and router.allow_relation(
            book, Author.objects.using("other").latest("pk")
        )
        try:
            book.save()
        except NotSupportedError as refusal:
            return stays, str(refusal).partition("' ")[2]
        return stays, ""


def test_what_was_read_in_the_past_stays_there(worker: Worker) -> None:
    stays, refusal = worker.call(stay_in_the_past)
    assert stays
    assert refusal == (
        "is a read replica of 'other' and cannot be written to: write to 'other'."
    )


def relations() -> dict[tuple[str, str], bool]:
    found = {}
    for pair in (
        ("default", "default_replica"),
        ("default_replica", "second_replica"),
        ("kept_out", "default"),
        ("default", "other"),
        ("default_replica", "other_replica"),
    ):
        one, other = Note(pk=1), Note(pk=2)
        one._state.db, other._state.db = pair
        found[pair] = router.allow_relation(one, other)
    one._state.db = None
    found["new", "other"] = router.allow_relation(one, other)
    return found


def test_relations_within_a_primary_and_its_replicas(worker: Worker) -> None:
    assert worker.call(relations) == {
        ("default", "default_replica"): True,
        ("default_replica", "second_replica"): True,
        ("kept_out", "default"): True,
        # Django's own answer, as nobody else has one.
        ("default", "other"): False,
        ("default_replica", "other_replica"): False,
        ("new", "other"): False,
    }


def migrations() -> list[bool]:
    return [
        router.allow_migrate(alias, "replica_app", model_name="note")
        for alias in ("default", "other", "default_replica", "kept_out", "nowhere")
    ]


def test_nothing_is_migrated_on_a_replica(worker: Worker) -> None:
    assert worker.call(migrations) == [True, True, False, False, False]


def models_of_each() -> dict[str, list[str]]:
    """Return what ``dumpdata`` would write of each database."""
    models = (Author, Book, Note)
    return {
        alias: [
            model.__name__
            for model in models
            if router.allow_migrate_model(alias, model)
        ]
        for alias in ("default", "default_replica", "other_replica")
    }


def test_the_rows_of_a_replica_are_those_of_its_primary(worker: Worker) -> None:
    assert worker.call(models_of_each) == {
        "default": ["Note"],
        "default_replica": ["Note"],
        "other_replica": ["Author", "Book", "Note"],
    }


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
