"""Reading a replica as it was at a moment in the past."""

from __future__ import annotations

import itertools
import re
import reprlib
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from datetime import UTC, datetime, timedelta

from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.db.utils import OperationalError
from django.utils import timezone

from .db.backends.sqlite_vfs.base import DatabaseWrapper
from .db.backends.sqlite_vfs.travels import travels
from .errors import ListingFailed, MomentNotHeld
from .replicas import Replica
from .vfs.listing import list_files

_AGO = re.compile(r"\s*(\d+(?:\.\d+)?)\s*([a-z]+?)s?\s+ago\s*", re.IGNORECASE)
_UNITS = {
    **dict.fromkeys(("s", "sec", "second"), timedelta(seconds=1)),
    **dict.fromkeys(("m", "min", "minute"), timedelta(minutes=1)),
    **dict.fromkeys(("h", "hour"), timedelta(hours=1)),
    **dict.fromkeys(("d", "day"), timedelta(days=1)),
    **dict.fromkeys(("w", "week"), timedelta(weeks=1)),
}
_LONGEST_LISTING = 10.0
_shown = reprlib.Repr(maxstring=200, maxother=200).repr
_number = itertools.count(1)


@contextmanager
def time_travel(alias: str, when: datetime | timedelta | str) -> Iterator[str]:
    """Give an alias that reads the replica ``alias`` as it was at ``when``.

    ``when`` is a moment, a time ago, or either as text: ISO 8601 or such as
    ``"1 hour ago"``. Without a time zone it is in the current one. Any thread may use
    the alias for the length of the block; nothing of it is left behind.

    Litestream keeps a commit by itself for five minutes and then in ever coarser
    steps: the newest state it still has of before the moment is read. Raises
    ``MomentNotHeld``, a ``ValueError``, where it has none; ``ValueError`` for what is
    no moment of the past; ``OperationalError`` where the replica cannot be opened.
    """
    moment = as_moment(when)
    connection = _replica_connection(alias)
    replica = connection.replica
    assert replica is not None
    travelling = f"{alias}@{moment:%Y-%m-%dT%H:%M:%S}#{next(_number)}"
    at_moment = replace(replica, alias=travelling, moment=moment.isoformat())
    with travels.to(
        travelling, {**connection.settings_dict, **at_moment.as_database()}
    ):
        try:
            connections[travelling].ensure_connection()
        except OperationalError:
            oldest = oldest_moment(replica)
            if oldest is None or moment >= oldest:
                raise
            raise MomentNotHeld(
                f"The replica '{alias}' has nothing from {moment:%Y-%m-%d %H:%M:%S %Z}: "
                f"its oldest moment is {oldest:%Y-%m-%d %H:%M:%S %Z}.",
                oldest=oldest,
            ) from None
        yield travelling


def as_moment(when: datetime | timedelta | str) -> datetime:
    """Return the moment of the past that ``when`` means, in UTC.

    Raises ``ValueError`` for what means none.
    """
    now = datetime.now(UTC)
    try:
        moment = _parsed(when, now)
        if timezone.is_naive(moment):
            moment = timezone.make_aware(moment)
        moment = moment.astimezone(UTC)
    except OverflowError:
        raise ValueError(
            f"{_shown(when)} is beyond all that a datetime holds."
        ) from None
    if moment > now:
        raise ValueError(f"{_shown(when)} has not come yet: give a moment of the past.")
    return moment


def oldest_moment(replica: Replica) -> datetime | None:
    """Return the oldest moment that can be read, in whole seconds.

    ``None`` where Litestream's command is not there to be asked, or does not know.
    """
    try:
        files = list_files(replica.url, _LONGEST_LISTING)
    except ListingFailed:
        return None
    # A state can be read from the first file on that holds the whole database.
    whole = [file.written_at for file in files if file.min_txid == 1]
    try:
        # Litestream leaves out the fraction of the second.
        return min(whole) + timedelta(seconds=1) if whole else None
    except OverflowError:
        return None


def _parsed(when: datetime | timedelta | str, now: datetime) -> datetime:
    match when:
        case datetime():
            return when
        case timedelta():
            return now - when
        case str() if ago := _AGO.fullmatch(when):
            if (unit := _UNITS.get(ago[2].lower())) is not None:
                return now - float(ago[1]) * unit
        case str():
            with suppress(ValueError):
                return datetime.fromisoformat(when.strip())
        case _:
            raise TypeError(
                f"A datetime, a timedelta or text is expected, not {type(when).__name__}."
            )
    raise ValueError(
        f"{_shown(when)} is no moment: give one such as '2025-01-31T12:00:00' or "
        "'1 hour ago'."
    )


def _replica_connection(alias: str) -> DatabaseWrapper:
    connection = connections[alias]
    if not isinstance(connection, DatabaseWrapper) or connection.replica is None:
        raise ImproperlyConfigured(
            f"'{alias}' is not a Litestream replica: settings.LITESTREAM['vfs'] lists "
            "those there are."
        )
    return connection
