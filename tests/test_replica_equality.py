"""The same questions asked of a database and of its replica have the same answers."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.models import (
    Avg,
    CharField,
    Count,
    Exists,
    F,
    FloatField,
    Max,
    Min,
    OuterRef,
    Q,
    QuerySet,
    StdDev,
    Subquery,
    Sum,
    Variance,
    Window,
)
from django.db.models.functions import (
    MD5,
    ACos,
    Cast,
    Concat,
    ExtractWeekDay,
    JSONObject,
    Lag,
    Length,
    Lower,
    LPad,
    Power,
    Rank,
    Repeat,
    Reverse,
    RowNumber,
    Sqrt,
    StrIndex,
    TruncMonth,
    Upper,
)

from .project import PATIENCE, wait_until
from .replica_app.models import Author, Book, Note
from .replica_world import (
    ReplicaWorld,
    count_notes,
    replica_world,
    wait_for_notes,
)

AUTHORS = 20
BOOKS = 2000
POLL_INTERVAL = 0.2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """A database with authors and books, replicated."""
    directory = tmp_path_factory.mktemp("equality")
    with replica_world(directory / "project") as made:
        with made.worker() as worker:
            worker.call(write_books)
        made.write_note()
        with made.replicating(), made.worker() as worker:
            worker.call(wait_for_notes, "default_replica", 1)
            yield made


def write_books() -> None:
    authors = Author.objects.bulk_create(
        Author(name=f"Ällan Äuthor {number}", born=date(1900 + number, 2, 28))
        for number in range(AUTHORS)
    )
    start = datetime(2020, 1, 1, 12, 30, tzinfo=UTC)
    Book.objects.bulk_create(
        Book(
            author=authors[number % AUTHORS],
            title=f"Straße {number:04}",
            pages=number * 37 % 501,
            price=Decimal(number % 97) / 4,
            published=start + timedelta(hours=number * 5),
            details={"tags": ["new", str(number % 7)], "size": {"mm": number % 300}},
        )
        for number in range(BOOKS)
    )


def books(alias: str) -> QuerySet[Book]:
    return Book.objects.using(alias)


def authors(alias: str) -> QuerySet[Author]:
    return Author.objects.using(alias)


def rows(alias: str, sql: str, *parameters: int) -> tuple[list[str], list[Any]]:
    with connections[alias].cursor() as cursor:
        cursor.execute(sql, parameters)
        return [column[0] for column in cursor.description], cursor.fetchall()


def in_atomic(alias: str) -> list[Any]:
    with transaction.atomic(alias):
        found: list[Any] = [books(alias).count()]
        with transaction.atomic(alias):
            found.append(books(alias).filter(pages__gt=250).count())
        try:
            with transaction.atomic(alias):
                found.append(authors(alias).count())
                raise LookupError
        except LookupError:
            found.append(authors(alias).earliest("born").name)
        return found


def selected_for_update(alias: str) -> list[Any]:
    with transaction.atomic(alias):
        return list(books(alias).select_for_update().order_by("pk").values()[:50])


def streamed(alias: str) -> list[Any]:
    return list(books(alias).order_by("title").values_list().iterator(chunk_size=100))


def streamed_while_others_read(alias: str) -> list[Any]:
    return [
        (title, authors(alias).get(pk=author).name)
        for title, author in books(alias)
        .order_by("-title")
        .values_list("title", "author")
        .iterator(chunk_size=50)
    ]


def prefetched(alias: str) -> list[Any]:
    return [
        (book.title, book.author.name)
        for book in books(alias).order_by("pk").prefetch_related("author")
    ]


def fetched_by_cursor(alias: str) -> list[Any]:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT title, price FROM replica_app_book ORDER BY title")
        return [cursor.fetchone(), cursor.fetchmany(3), *cursor.fetchall()]


QUESTIONS: tuple[Callable[[str], Any], ...] = (
    in_atomic,
    selected_for_update,
    streamed,
    streamed_while_others_read,
    prefetched,
    fetched_by_cursor,
    # Aggregates, those that Django adds to SQLite among them.
    lambda alias: books(alias).aggregate(
        Avg("pages"), Min("price"), Max("published"), Sum("price"), n=Count("*")
    ),
    lambda alias: books(alias).aggregate(
        StdDev("pages"), Variance("pages", sample=True)
    ),
    lambda alias: books(alias).aggregate(few=Count("pk", filter=Q(pages__lt=100))),
    lambda alias: list(
        authors(alias)
        .annotate(written=Count("books"), worth=Sum("books__price"))
        .filter(worth__gt=100)
        .order_by("-worth", "pk")
        .values("name", "written", "worth")
    ),
    # Functions: Django registers most of these with each connection.
    lambda alias: list(
        books(alias)
        .order_by("pk")
        .annotate(
            upper=Upper("title"),
            lower=Lower("author__name"),
            digest=MD5("title"),
            padded=LPad(Cast("pages", CharField()), 8),
            backwards=Reverse("title"),
            twice=Repeat("title", 2),
            length=Length("title"),
            at=StrIndex("title", F("pages")),
            both=Concat("title", "author__name"),
        )
        .values()
    ),
    lambda alias: list(
        books(alias)
        .order_by("pk")
        .annotate(
            root=Sqrt(Cast("pages", FloatField())),
            power=Power("pages", 3),
            angle=ACos(Cast("pages", FloatField()) / 1000),
        )
        .values_list("root", "power", "angle")
    ),
    lambda alias: list(
        books(alias)
        .annotate(month=TruncMonth("published"), day=ExtractWeekDay("published"))
        .values("month", "day")
        .annotate(count=Count("pk"))
        .order_by("month", "day")
    ),
    lambda alias: list(books(alias).datetimes("published", "day", order="DESC")),
    lambda alias: books(alias).filter(title__iregex=r"^stra.e 1\d{2}5$").count(),
    lambda alias: books(alias).filter(published__week_day=2).count(),
    lambda alias: list(
        books(alias)
        .filter(published__lt=F("author__born") + timedelta(days=43_900))
        .order_by("pk")
        .values_list("pk")
    ),
    # JSON.
    lambda alias: books(alias).filter(details__size__mm__gte=250).count(),
    lambda alias: books(alias).filter(details__tags__1="3").count(),
    lambda alias: books(alias).filter(details__has_key="size").count(),
    lambda alias: list(
        books(alias)
        .order_by("pk")
        .annotate(made=JSONObject(title="title", pages=F("pages")))
        .values_list("made", "details__size", "details__tags__0")
    ),
    lambda alias: rows(
        alias,
        "SELECT b.id, each.value FROM replica_app_book b, "
        "json_each(b.details, '$.tags') each WHERE b.pages > %s ORDER BY 1, 2",
        400,
    ),
    # Windows, subqueries, sets, common table expressions.
    lambda alias: list(
        books(alias)
        .annotate(
            rank=Window(Rank(), partition_by="author", order_by=F("pages").desc()),
            number=Window(RowNumber(), order_by=("price", "pk")),
            before=Window(Lag("title"), partition_by="author", order_by="pk"),
        )
        .filter(rank__lte=3)
        .order_by("pk")
        .values_list("pk", "rank", "number", "before")
    ),
    lambda alias: list(
        authors(alias)
        .annotate(
            longest=Subquery(
                Book.objects.filter(author=OuterRef("pk"))
                .order_by("-pages", "pk")
                .values("title")[:1]
            ),
            has_short=Exists(Book.objects.filter(author=OuterRef("pk"), pages__lt=2)),
        )
        .order_by("pk")
        .values_list("name", "longest", "has_short")
    ),
    lambda alias: sorted(
        books(alias)
        .filter(pages=37)
        .values_list("title")
        .union(books(alias).filter(pages=74).values_list("title"))
    ),
    lambda alias: rows(
        alias,
        "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n WHERE i < 9) "
        "SELECT i, (SELECT title FROM replica_app_book WHERE id = i) FROM n",
    ),
    lambda alias: books(alias).in_bulk([1, 5, 9], field_name="pk").keys(),
    lambda alias: books(alias).filter(pages__in=range(300)).order_by("pk").explain(),
    lambda alias: books(alias).none().exists(),
    lambda alias: connections[alias].introspection.table_names(),
    lambda alias: rows(alias, "PRAGMA table_info(replica_app_book)"),
)


def answers(alias: str) -> list[str]:
    return [repr(question(alias)) for question in QUESTIONS]


def test_a_replica_answers_as_its_primary_does(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        of_replica = worker.call(answers, "default_replica")
        of_primary = worker.call(answers, "default")

    assert len(of_primary) == len(QUESTIONS)
    for number, (expected, found) in enumerate(
        zip(of_primary, of_replica, strict=True)
    ):
        assert found == expected, number


def read_in_and_after_atomic() -> dict[str, list[int]]:
    """Count in a snapshot and in what comes after it, while notes are written."""
    alias = "default_replica"
    counts: dict[str, list[int]] = {"before": [count_notes(alias)], "in atomic": []}
    with transaction.atomic(alias):
        counts["in atomic"].append(count_notes(alias))
        held = held_txid(alias)
        Note.objects.create(source="default", written_at=0)
        deadline = time.monotonic() + PATIENCE
        while held_txid(alias) == held:
            assert time.monotonic() < deadline
            counts["in atomic"].append(count_notes(alias))
        with transaction.atomic(alias):
            counts["in atomic"].append(count_notes(alias))
        counts["in atomic"].append(count_notes(alias))
    counts["after"] = [count_notes(alias)]
    return counts


def held_txid(alias: str) -> str:
    """Return the newest transaction that the connection has been told of."""
    connection = connections[alias].connection
    assert connection is not None
    (txid,) = connection.execute("PRAGMA litestream_txid").fetchone()
    return str(txid)


def test_a_snapshot_is_stable_inside_of_atomic_and_new_after_it(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        worker.call(
            wait_for_notes, "default_replica", worker.call(count_notes, "default")
        )
        counts = worker.call(read_in_and_after_atomic)

    (before,) = counts["before"]
    assert set(counts["in atomic"]) == {before}
    assert len(counts["in atomic"]) > 3
    assert counts["after"] == [before + 1]


def stream_while_snapshots_are_renewed() -> list[tuple[str, int]]:
    """Stream books, with other statements and some time in between."""
    alias = "default_replica"
    found: list[tuple[str, int]] = []
    for title in (
        books(alias).order_by("pk").values_list("title", flat=True).iterator(500)
    ):
        if len(found) % 500 == 0:
            time.sleep(2 * POLL_INTERVAL)
        found.append((title, authors(alias).count()))
    return found


def test_a_stream_outlives_the_snapshots(world: ReplicaWorld) -> None:
    with world.worker() as worker, world.writing():
        found = worker.call(stream_while_snapshots_are_renewed)

    assert found == [(f"Straße {number:04}", AUTHORS) for number in range(BOOKS)]


def stream_while_the_connection_is_replaced() -> tuple[list[str], int, int]:
    """Stream books; return them, and the notes seen before the end and at it."""
    alias = "default_replica"
    wrapper: Any = connections[alias]
    titles = books(alias).order_by("pk").values_list("title", flat=True).iterator(10)
    found = [next(titles)]
    first, before = wrapper.connection, count_notes(alias)
    # As a read that failed leaves it.
    wrapper._is_lost = True
    wait_until(lambda: count_notes(alias) and wrapper.connection is not first)
    wait_for_notes_beyond(alias, before)
    return [*found, *titles], before, count_notes(alias)


def wait_for_notes_beyond(alias: str, count: int) -> None:
    wait_until(lambda: count_notes(alias) > count)


def test_a_stream_outlives_the_connection(world: ReplicaWorld) -> None:
    with world.worker() as worker, world.writing():
        found, before, after = worker.call(stream_while_the_connection_is_replaced)

    assert found == [f"Straße {number:04}" for number in range(BOOKS)]
    assert after > before
