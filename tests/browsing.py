"""A client of a site with replicas, with its cookies."""

from __future__ import annotations

import asyncio
import json
import re
import time
from dataclasses import dataclass
from typing import Any

from django.test import AsyncClient, Client

from django_litestream.middleware import COOKIE

from .project import wait_until

REPLICA = "default_replica"

# In the cookie of a client of whose write no daemon has told, and the time of that.
PIN = 2**63


@dataclass(frozen=True)
class Answer:
    """What came of a request; ``cookie`` is what it set, ``None`` where it set none."""

    status: int
    content: dict[str, Any]
    cookie: dict[str, Any] | None
    seconds: float = 0.0


def as_answer(response: Any, seconds: float = 0.0) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    morsel = response.cookies.get(COOKIE)
    return Answer(
        status=response.status_code,
        content=json.loads(content) if response.status_code == 200 else {},
        cookie=morsel and {"value": morsel.value, **morsel},
        seconds=seconds,
    )


class Browser:
    """A client of the site under WSGI or ASGI, with its cookies."""

    def __init__(self, server: str = "wsgi", cookie: str | None = None) -> None:
        self._client: Any = (
            AsyncClient(raise_request_exception=False)
            if server == "asgi"
            else Client(raise_request_exception=False)
        )
        self._is_async = server == "asgi"
        if cookie is not None:
            self._client.cookies[COOKIE] = cookie

    @property
    def cookie(self) -> str | None:
        morsel = self._client.cookies.get(COOKIE)
        return morsel.value or None if morsel else None

    def get(self, path: str, **options: Any) -> Answer:
        begun = time.monotonic()
        if self._is_async:
            response = asyncio.run(self._client.get(f"/{path}", **options))
        else:
            response = self._client.get(f"/{path}", **options)
        return as_answer(response, time.monotonic() - begun)


def browse(*paths: str) -> list[Answer]:
    browser = Browser()
    return [browser.get(path) for path in paths]


def txids_in(cookie: str) -> list[int]:
    """Return what is in a cookie, which anybody can read and nobody forge."""
    value, made_at, signature = cookie.split(":")
    assert re.fullmatch(r"[0-9a-f]+(\.[0-9a-f]+)*", value)
    assert made_at
    assert signature
    return [int(txid, 16) for txid in value.split(".")]


def wait_until_read_from_the_replica(server: str, read: str) -> None:
    """Wait until who has written nothing reads from the replica."""
    browser = Browser(server)
    wait_until(lambda: browser.get(f"{read}/1").content["read_from"] == REPLICA)
