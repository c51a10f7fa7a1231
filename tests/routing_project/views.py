"""What a test asks over HTTP; each answer says which process gave it."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from typing import Any

from django.db import OperationalError, transaction
from django.http import HttpRequest, JsonResponse, StreamingHttpResponse

from ..replica_app.models import Note


def answer(**what: Any) -> JsonResponse:
    return JsonResponse({"pid": os.getpid(), **what})


def write(request: HttpRequest) -> JsonResponse:
    note = Note.objects.create(source="view", written_at=time.time())
    return answer(number=note.pk, read_from=Note.objects.all().db)


def write_in_atomic(request: HttpRequest) -> JsonResponse:
    with transaction.atomic():
        return write(request)


def write_and_stream(request: HttpRequest) -> StreamingHttpResponse:
    note = Note.objects.create(source="view", written_at=time.time())

    def read_later() -> Iterator[str]:
        found = Note.objects.get(pk=note.pk)
        yield json.dumps({"number": note.pk, "read_from": found._state.db})

    return StreamingHttpResponse(read_later())


def write_and_fail(request: HttpRequest) -> JsonResponse:
    write(request)
    raise ZeroDivisionError


def read(request: HttpRequest, number: int) -> JsonResponse:
    notes = Note.objects.filter(pk=number)
    # One decision: that a queryset tells is another one than that it reads by.
    found = next(iter(notes), None)
    return answer(found=found is not None, read_from=found and found._state.db)


def nothing(request: HttpRequest) -> JsonResponse:
    return answer()


def read_replica(request: HttpRequest, alias: str) -> JsonResponse:
    begun = time.monotonic()
    routed = list(Note.objects.all())
    seconds = time.monotonic() - begun
    read_from = {note._state.db for note in routed}
    try:
        newest, error = Note.objects.using(alias).latest("pk").pk, ""
    except OperationalError as refusal:
        newest, error = 0, str(refusal)
    return answer(
        newest=newest,
        error=error,
        routed=len(routed),
        read_from=sorted(read_from),
        seconds=seconds,
    )


async def write_async(request: HttpRequest) -> JsonResponse:
    note = await Note.objects.acreate(source="view", written_at=time.time())
    found = await Note.objects.aget(pk=note.pk)
    return answer(number=note.pk, read_from=found._state.db)


async def read_async(request: HttpRequest, number: int) -> JsonResponse:
    found = await Note.objects.filter(pk=number).afirst()
    return answer(found=found is not None, read_from=found and found._state.db)


async def nothing_async(request: HttpRequest) -> JsonResponse:
    return answer()
