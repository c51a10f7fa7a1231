"""Whatever a client sends for the cookie, it reads from where it may and no longer."""

from __future__ import annotations

import io
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import SimpleCookie
from typing import Any
from unittest import mock

from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory, override_settings
from hypothesis import assume, example, given
from hypothesis import strategies as st

from django_litestream import middleware
from django_litestream.middleware import COOKIE, LitestreamMiddleware
from django_litestream.replicas import problems
from django_litestream.routing import current_unit

from .routed import primaries_are

NOW = 1_800_000_000.0
PIN = 2**63
PIN_SECONDS = 15.0
# A cookie's time is in whole seconds.
ROUNDING = 2.0

Needed = dict[str, int]

txids = st.integers(min_value=1, max_value=2**63 - 1)
# What the daemon said of the primaries that a request wrote to.
written = st.dictionaries(
    st.sampled_from(["default", "text"]), st.one_of(st.none(), txids), min_size=1
)
aliases = st.sampled_from(["default", "text", "a', 'b", "a", "b", "é", "x.y"])
primaries = st.lists(aliases, min_size=1, max_size=3, unique=True)
header_bytes = st.one_of(
    st.binary(max_size=100),
    st.binary(max_size=100).map(lambda value: COOKIE.encode() + b"=" + value),
)


@dataclass
class Site:
    """A site's middleware; its clock is ``now``."""

    now: float = NOW
    pin_seconds: float = PIN_SECONDS

    def needed(self, request: HttpRequest) -> Needed:
        """Return what a request with its cookie needs of the replicas."""
        found: list[Needed] = []

        def view(request: HttpRequest) -> HttpResponse:
            unit = current_unit()
            assert unit is not None
            found.append(dict(unit.needed))
            return HttpResponse()

        self._handle(view, request)
        return found[0]

    def cookie(
        self, written: Mapping[str, int | None], request: HttpRequest | None = None
    ) -> str:
        """Return the cookie that a request is given which wrote."""

        def view(request: HttpRequest) -> HttpResponse:
            unit = current_unit()
            assert unit is not None
            unit.written.update(written)
            return HttpResponse()

        with mock.patch.object(middleware, "txid_of_commits", written.get):
            response = self._handle(view, request or request_with(""))
        return str(response.cookies[COOKIE].value)

    def _handle(self, view: Any, request: HttpRequest) -> HttpResponse:
        litestream = {"dbs": [], "vfs": {"pin_seconds": self.pin_seconds}}
        with (
            override_settings(LITESTREAM=litestream),
            mock.patch("django.core.signing.time.time", return_value=self.now),
        ):
            response = LitestreamMiddleware(view)(request)
        assert isinstance(response, HttpResponse)
        return response


def request_with(cookie: str) -> HttpRequest:
    request = RequestFactory().get("/")
    request.COOKIES[COOKIE] = cookie
    return request


def as_needed(written: Mapping[str, int | None]) -> Needed:
    return {alias: txid or PIN + int(NOW) for alias, txid in written.items()}


def is_pinned(needed: Needed) -> bool:
    return any(txid >= PIN for txid in needed.values())


@given(header_bytes)
@example(b"litestream=::::")
@example(b"litestream=1:1:1")
@example(b"litestream=\xff\xfe:\xed\xa0\x80:x")
@example(b'litestream="\\400\\777\\"')
@example(b"litestream=" + b":" * 10_000)
def test_any_bytes_are_no_cookie_of_ours(header: bytes) -> None:
    wsgi = RequestFactory().get("/", HTTP_COOKIE=header.decode("latin-1"))
    scope = {"type": "http", "method": "GET", "path": "/", "query_string": b""}
    asgi = ASGIRequest({**scope, "headers": [(b"cookie", header)]}, io.BytesIO())
    with primaries_are("default", "text"):
        assert Site().needed(wsgi) == {}
        assert Site().needed(asgi) == {}


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_is_no_cookie_of_ours(value: str) -> None:
    with primaries_are("default", "text"):
        assert Site().needed(request_with(value)) == {}


@given(written, st.floats(min_value=0, max_value=PIN_SECONDS))
@example({"default": 1, "text": 2**63 - 1}, 0.0)
@example({"text": None}, PIN_SECONDS)
def test_what_was_written_is_needed(written: dict[str, int | None], age: float) -> None:
    site = Site()
    with primaries_are("default", "text"):
        cookie = site.cookie(written)
        site.now += age
        assert site.needed(request_with(cookie)) == as_needed(written)


@given(written, st.data())
def test_a_cookie_that_was_changed_says_nothing_or_the_same(
    written: dict[str, int | None], data: st.DataObject
) -> None:
    with primaries_are("default", "text"):
        cookie = Site().cookie(written)
        begin = data.draw(st.integers(0, len(cookie)))
        end = data.draw(st.integers(begin, len(cookie)))
        insertion = data.draw(st.one_of(st.text("0123456789abcdef.:-", max_size=5)))
        changed = cookie[:begin] + insertion + cookie[end:]
        needed = Site().needed(request_with(changed))
        assert needed == (as_needed(written) if changed == cookie else {})


@given(written, st.text(min_size=1), st.booleans())
def test_a_cookie_of_another_key_says_nothing(
    written: dict[str, int | None], key: str, is_old_key: bool
) -> None:
    with primaries_are("default", "text"):
        with override_settings(SECRET_KEY=f"another {key}"):
            cookie = Site().cookie(written)
        with override_settings(
            SECRET_KEY_FALLBACKS=[f"another {key}"] if is_old_key else []
        ):
            needed = Site().needed(request_with(cookie))
    assert needed == (as_needed(written) if is_old_key else {})


@given(primaries, primaries, st.data())
@example(["a", "b"], ["a', 'b"], None)
def test_a_txid_is_never_that_of_another_primary(
    before: list[str], after: list[str], data: st.DataObject | None
) -> None:
    of_each = st.fixed_dictionaries(dict.fromkeys(before, st.one_of(st.none(), txids)))
    written = data.draw(of_each) if data else dict.fromkeys(before, 1)
    with primaries_are(*before):
        cookie = Site().cookie(written)
    with primaries_are(*after):
        needed = Site().needed(request_with(cookie))
    assert needed == (as_needed(written) if set(before) == set(after) else {})


@given(written, st.floats(min_value=PIN_SECONDS + ROUNDING, max_value=1e15))
def test_nobody_is_pinned_for_longer(
    written: dict[str, int | None], age: float
) -> None:
    site = Site()
    with primaries_are("default", "text"):
        cookie = site.cookie(written)
        site.now += age
        needed = site.needed(request_with(cookie))
    assert not is_pinned(needed)
    assert needed.items() <= as_needed(written).items()


@given(written, st.floats(min_value=PIN_SECONDS + ROUNDING, max_value=1e9))
@example({"default": None}, 86_400.0)
def test_nobody_is_pinned_by_a_clock_that_was_ahead(
    written: dict[str, int | None], ahead: float
) -> None:
    site = Site()
    site.now += ahead
    with primaries_are("default", "text"):
        cookie = site.cookie(written)
        site.now -= ahead
        assert not is_pinned(site.needed(request_with(cookie)))


@given(st.lists(st.floats(min_value=0, max_value=PIN_SECONDS - 1), min_size=1))
@example([PIN_SECONDS / 2] * 4)
def test_a_write_elsewhere_pins_nobody_anew(pauses: list[float]) -> None:
    assume(sum(pauses) > PIN_SECONDS + ROUNDING)
    site = Site()
    with primaries_are("default", "text"):
        cookie = site.cookie({"default": None})
        for number, pause in enumerate(pauses, 1):
            site.now += pause
            cookie = site.cookie({"text": number}, request_with(cookie))
        assert site.needed(request_with(cookie)) == {"text": len(pauses)}


@given(st.floats(min_value=0, allow_infinity=False))
@example(0.0)
@example(1e20)
@example(1e308)
def test_any_time_to_be_pinned(seconds: float) -> None:
    if any(problems({"pin_seconds": seconds})):
        return
    site = Site(pin_seconds=seconds)
    with primaries_are("default"):
        cookie = site.cookie({"default": None})
        assert is_pinned(site.needed(request_with(cookie)))


def test_the_cookie_is_one_that_a_browser_takes() -> None:
    with primaries_are("default", "text"):
        cookie = Site(now=time.time()).cookie({"default": 2**63 - 1, "text": None})
    parsed: SimpleCookie = SimpleCookie(f"{COOKIE}={cookie}")
    assert parsed[COOKIE].value == cookie
    assert len(cookie) < 200
