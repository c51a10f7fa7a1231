"""What is served where requests are measured: ``ROOT_URLCONF`` and a WSGI application."""

from __future__ import annotations

import sys
import threading
from typing import Any

from django.core.wsgi import get_wsgi_application
from django.http import HttpRequest, JsonResponse
from django.urls import path

_opened: list[str] = []
_barriers: dict[int, threading.Barrier] = {}


def _note_opening(event: str, arguments: tuple[Any, ...]) -> None:
    if event == "sqlite3.connect" and "replica_url=" in str(arguments[0]):
        _opened.append(threading.current_thread().name)


# Python itself tells of every connection, whoever opens it.
sys.addaudithook(_note_opening)


def read(request: HttpRequest) -> JsonResponse:
    """Read a row where the router says; tell that, and what was opened so far."""
    from .models import Note

    note = Note._default_manager.get(pk=1)
    return JsonResponse({"alias": note._state.db, "opened": len(_opened)})


def read_together(request: HttpRequest, count: int) -> JsonResponse:
    """Do so in ``count`` requests at once."""
    answer = read(request)
    _barriers.setdefault(count, threading.Barrier(count)).wait(timeout=60)
    return answer


urlpatterns = [path("", read), path("together/<int:count>/", read_together)]

application = get_wsgi_application()
