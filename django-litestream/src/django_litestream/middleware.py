"""A client's own writes are read back by it, whichever process serves it."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from typing import Any

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.core import signing
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpRequest
from django.http.response import HttpResponseBase

from .conf import app_settings
from .routing import UnitOfWork, begin_unit
from .topology import topology
from .txids import GREATEST_TXID
from .write_txids import has_daemon, txid_of_commits

COOKIE = "litestream"

# How long a client's writes are remembered, in seconds.
_KEEP = 86_400
# What the router may take to see that a daemon cuts nothing, in seconds.
_SEEN_WITHIN = 15.0
# In a TXID's place, with the second it begins in added to it: no replica reaches that.
_PIN = GREATEST_TXID + 1


class LitestreamMiddleware:
    """Carries the TXIDs that hold a client's writes in a signed cookie.

    ``LitestreamRouter`` lets the client read from a replica once that has reached
    them. They are asked of the daemon at the end of a request that wrote, and of no
    other. Where no daemon answers, the client reads from the primary for
    ``LITESTREAM["vfs"]["pin_seconds"]``, or longer, until no replica that lacks the
    write is read from.
    """

    sync_capable = True
    async_capable = True

    def __init__(
        self,
        get_response: Callable[
            [HttpRequest], HttpResponseBase | Awaitable[HttpResponseBase]
        ],
    ) -> None:
        if not topology().routed:
            raise MiddlewareNotUsed("No replica is read from by the router.")
        self._get_response: Any = get_response
        self._is_async = iscoroutinefunction(get_response)
        if self._is_async:
            markcoroutinefunction(self)

    def __call__(
        self, request: HttpRequest
    ) -> HttpResponseBase | Awaitable[HttpResponseBase]:
        if self._is_async:
            return self._call_async(request)
        unit = begin_unit()
        unit.needed = _read(request)
        response: HttpResponseBase = self._get_response(request)
        written = {alias: txid_of_commits(alias) for alias in unit.written}
        _remember(request, response, unit, written)
        return response

    async def _call_async(self, request: HttpRequest) -> HttpResponseBase:
        unit = begin_unit()
        unit.needed = _read(request)
        response: HttpResponseBase = await self._get_response(request)
        ask = sync_to_async(txid_of_commits, thread_sensitive=False)
        written = {alias: await ask(alias) for alias in unit.written}
        _remember(request, response, unit, written)
        return response


def _salt() -> str:
    """Return what makes a cookie void once the project's primaries are others."""
    return f"{__name__} {sorted(topology().routed)}"


def _read(request: HttpRequest) -> dict[str, int]:
    """Return the TXIDs of the cookie by primary; none of a cookie that is not ours."""
    try:
        # Whatever its age, which would be by a clock that may have been set since: a
        # TXID is as true as ever, and the browser keeps no cookie for longer.
        value = request.get_signed_cookie(COOKIE, salt=_salt())
    except (KeyError, signing.BadSignature):
        return {}
    assert value is not None
    txids = (int(txid, 16) for txid in value.split("."))
    named = zip(sorted(topology().routed), txids, strict=True)
    return {alias: txid for alias, txid in named if txid and not _is_over(alias, txid)}


def _is_over(alias: str, txid: int) -> bool:
    """Whether this is a pin that has ended, or was set by a clock that was ahead."""
    age = time.time() - (txid - _PIN)
    return txid >= _PIN and abs(age) > _longest_pin(alias)


def _longest_pin(alias: str) -> float:
    """Return for how long a client reads from the primary ``alias`` after a write.

    While a daemon that has to be there is away nothing comes to the replicas, which
    the router trusts until ``max_lag_seconds`` have passed, or for ever without.
    """
    seconds = app_settings.pin_seconds
    if has_daemon(alias):
        for replica in topology().routed.get(alias, ()):
            limit = replica.max_lag_seconds
            seconds = max(seconds, _KEEP if limit is None else limit + _SEEN_WITHIN)
    # A pin leaves out the fraction of the second it begins in.
    return min(seconds + 1, _KEEP)


def _remember(
    request: HttpRequest,
    response: HttpResponseBase,
    unit: UnitOfWork,
    written: dict[str, int | None],
) -> None:
    if not written:
        return
    # A cookie is not taken away once a replica has all of it: other processes, and
    # other threads of this one, poll for themselves and may have less.
    needed = dict(unit.needed)
    for alias, txid in written.items():
        needed[alias] = txid or _PIN + int(time.time())
    pinned_only = min(needed.values()) >= _PIN
    response.set_signed_cookie(
        COOKIE,
        ".".join(f"{needed.get(alias, 0):x}" for alias in sorted(topology().routed)),
        salt=_salt(),
        max_age=int(max(map(_longest_pin, needed))) if pinned_only else _KEEP,
        secure=request.is_secure(),
        httponly=True,
        samesite="Lax",
    )
