"""What clients ask; an answer of rows says which database they were read from.

Each answer is read by one statement, so that all of it is of one moment.
"""

from __future__ import annotations

import os
import secrets
import sys

from django.conf import settings
from django.db import transaction
from django.db.models import Count, Max, QuerySet, Sum
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce
from django.http import HttpRequest, JsonResponse

from tests.proof.journal import Event, Writing
from tests.proof.ledger import NOTHING, following
from tests.proof.ledger import Row as LedgerRow

from .models import OtherRow, Row, Tally

_MODELS: dict[str, type[Row]] = {"default": Row, "other": OtherRow}
_PAGE = 25
_BYTES_OF_PAYLOAD = 100

_journal = Writing(settings.DIRECTORY / "default.journal")


def append(request: HttpRequest) -> JsonResponse:
    with transaction.atomic():
        last = Row._default_manager.order_by("-number").first()
        before = LedgerRow(last.number, last.checksum) if last else NOTHING
        payload = secrets.token_hex(_BYTES_OF_PAYLOAD)
        row = following(before, payload)
        Row._default_manager.create(
            number=row.number, payload=payload, checksum=row.checksum
        )
        Tally._default_manager.update(rows=row.number)
        _journal.add(Event.BEGAN, row)
    _journal.add(Event.COMMITTED, row)
    return _answer(number=row.number, checksum=row.checksum)


def newest(request: HttpRequest, ledger: str) -> JsonResponse:
    """Answer with the last rows, and with the tally."""
    rows = _ledger(ledger)
    return _page(rows.order_by("-number")[:_PAGE])


def rows_from(request: HttpRequest, ledger: str, first: int) -> JsonResponse:
    """Answer with the rows that come first from a number on."""
    rows = _ledger(ledger).filter(number__gte=first)
    return _page(rows.order_by("number")[:_PAGE])


def totals(request: HttpRequest, ledger: str) -> JsonResponse:
    """Answer with what only a ledger without gaps has."""
    rows = _ledger(ledger)
    found = rows.aggregate(
        count=Count("number"),
        newest=Coalesce(Max("number"), 0),
        sum=Coalesce(Sum("number"), 0),
    )
    return _answer(alias=rows.db, **found)


def failed(request: HttpRequest) -> JsonResponse:
    """Say what a view failed with."""
    kind, error, _ = sys.exc_info()
    name = kind.__name__ if kind else "?"
    return JsonResponse({"error": f"{name}: {error}"}, status=500)


def _ledger(name: str) -> QuerySet[Row]:
    """Return the rows of a ledger, of the database that the router says."""
    rows = _MODELS[name]._default_manager.all()
    # Once, so that what is answered is from where the answer says.
    return rows.using(rows.db)


def _page(rows: QuerySet[Row]) -> JsonResponse:
    found = list(rows.annotate(tally=RawSQL("SELECT rows FROM tally", [])))
    return _answer(
        alias=rows.db,
        tally=found[0].tally if found else None,
        rows=[[row.number, row.payload, row.checksum] for row in found],
    )


def _answer(**what: object) -> JsonResponse:
    return JsonResponse({"pid": os.getpid(), **what})
