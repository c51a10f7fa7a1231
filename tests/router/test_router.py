"""Where the router reads and writes, and what that costs."""

from __future__ import annotations

import datetime

from django.db import (
    NotSupportedError,
    router,
)
from django.db.models import Model

from django_litestream import time_travel
from django_litestream.routing import unit_of_work

from ..replica_app.models import Author, Book, Note
from ..replica_world import Worker
from .places import DETAILS, ROUTED, books_of, decisions


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
