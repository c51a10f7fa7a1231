"""Where the router reads, on a site of two databases and their replicas."""

from __future__ import annotations

import datetime
from collections import Counter
from typing import Any

from django.db import router
from django.db.models import Model

from django_litestream.routing import unit_of_work

from ..project import wait_until
from ..replica_app.models import Author, Book, Note

DETAILS: dict[str, Any] = {
    "pages": 1,
    "price": 1,
    "published": datetime.datetime(2000, 1, 1, tzinfo=datetime.UTC),
}
ROUTED = {"default": {"default_replica", "second_replica"}, "other": {"other_replica"}}


def decisions(model: type[Model], count: int = 200) -> Counter[str]:
    return Counter(router.db_for_read(model) for _ in range(count))


def wait_until_read_from() -> None:
    """Wait until this thread has its connections to all the replicas."""
    wait_until(lambda: set(decisions(Note)) == ROUTED["default"])
    wait_until(lambda: set(decisions(Book)) == ROUTED["other"])


def books_of(author: Author) -> Any:
    """Return the related manager, which the type checker does not see."""
    return vars(Author)["books"].__get__(author)


def make_rows() -> None:
    with unit_of_work():
        author = Author.objects.create(name="A", born=datetime.date(1900, 1, 1))
        books_of(author).create(title="B", **DETAILS)
    wait_until(lambda: Book.objects.using("other_replica").exists())
