"""``settings.LITESTREAM['vfs']``: read replicas, and their entries of ``DATABASES``.

Imported from ``settings.py``, so nothing here needs settings or models.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Self
from urllib.parse import quote

from django.core.exceptions import ImproperlyConfigured

from .settings_problems import Problem, at, is_text, names, wrong, wrong_value

ENGINE = "django_litestream.db.backends.sqlite_vfs"
EXPECTED = "a dictionary such as {'replica': 's3://bucket/path'}"

# Of the keys in OPTIONS that SQLite is not to see.
OPTION_PREFIX = "litestream_"

_WHERE = "settings.LITESTREAM['vfs']"
_URL = "a replica's URL such as 's3://bucket/path'"
_DURATION = re.compile(r"(?:(\d+(?:\.\d+)?)(ms|s|m|h))+")
_DURATION_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h)")
_SECONDS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
# In seconds: Go and Python wait for as many nanoseconds as 64 bits hold.
_SHORTEST_WAIT = 1e-6
_LONGEST_WAIT = 1e9
_DEFAULT_PIN_SECONDS = 15.0
_DEFAULT_MAX_LAG_SECONDS = 60.0

# As large as SQLite's own by default. Litestream's is 10 MB, which lets each connection
# grow by 360 MB.
_DEFAULT_CACHE_SIZE = 2_000_000


@dataclass(frozen=True, kw_only=True)
class Replica:
    """A database alias that reads a Litestream replica.

    Times are in seconds, ``cache_size``, that of Litestream's cache, in bytes.
    ``max_lag_seconds`` is the age of the last successful poll up to which a connection
    is read from, ``None`` for any. ``route`` says whether the router reads from it, in
    place of ``primary``. ``moment`` is an ISO time that the replica is looked at,
    ``None`` for now.
    """

    alias: str
    url: str
    primary: str = "default"
    poll_interval: float = 1.0
    cache_size: int = _DEFAULT_CACHE_SIZE
    hydration: bool = False
    open_timeout: float = 10.0
    max_lag_seconds: float | None = _DEFAULT_MAX_LAG_SECONDS
    route: bool = True
    moment: str | None = None

    @property
    def reopen_after(self) -> float:
        """The age of the last successful poll past which a poller counts as wedged.

        None that is older than ``max_lag_seconds`` is gone on with, but for one that
        works, whose age comes to a poll interval.
        """
        wedged = max(3 * self.poll_interval, 5.0)
        if self.max_lag_seconds is None:
            return wedged
        return min(wedged, max(self.max_lag_seconds, self.poll_interval + 1))

    @property
    def suspect_after(self) -> float:
        """The age of the last successful poll past which the storage may be away."""
        # Litestream tells it in whole seconds.
        return max(self.poll_interval, 1.0)

    def as_database(self) -> dict[str, Any]:
        """Return the entry of ``DATABASES``."""
        options = {
            f"{OPTION_PREFIX}{name}": getattr(self, field)
            for name, field in _OPTION_FIELDS.items()
            if name == "replica_url" or getattr(self, field) != getattr(Replica, field)
        }
        return {
            "ENGINE": ENGINE,
            "NAME": f"file:{quote(self.alias, safe='')}.db?vfs=litestream&mode=ro",
            "OPTIONS": options,
            "CONN_MAX_AGE": None,
            "TEST": {"MIRROR": self.primary},
        }

    @classmethod
    def from_database(cls, alias: str, database: Mapping[str, Any]) -> Self:
        """Read the entry of ``DATABASES`` back.

        Raises ``ImproperlyConfigured``, which names the key.
        """
        entry = at("settings.DATABASES", alias)
        options = database.get("OPTIONS") or {}
        if not isinstance(options, Mapping):
            expected = "a dictionary as get_vfs_databases() makes it"
            _refuse(wrong_value(f"{entry}['OPTIONS']", expected, options))
        places = {
            field: f"{entry}['OPTIONS']['{OPTION_PREFIX}{name}']"
            for name, field in _OPTION_FIELDS.items()
        }
        given = {
            field: options[f"{OPTION_PREFIX}{name}"]
            for name, field in _OPTION_FIELDS.items()
            if f"{OPTION_PREFIX}{name}" in options
        }
        if "url" not in given:
            raise ImproperlyConfigured(
                f"{places['url']} is missing: make the entry with "
                "django_litestream.get_vfs_databases()."
            )
        places["primary"] = f"{entry}['TEST']['MIRROR']"
        given["primary"] = (database.get("TEST") or {}).get("MIRROR") or "default"
        for field in given.keys() & _KEYS.keys():
            _refuse(_value_problem(places[field], field, given[field]))
        return cls(alias=alias, **_normal(given))


_OPTION_FIELDS = {
    "replica_url": "url",
    "poll_interval": "poll_interval",
    "cache_size": "cache_size",
    "hydration": "hydration",
    "open_timeout": "open_timeout",
    "max_lag_seconds": "max_lag_seconds",
    "route": "route",
    "time": "moment",
}


def get_vfs_databases(
    litestream: Mapping[str, Any] | None = None,
) -> dict[str, dict[str, Any]]:
    """Return the entries of ``DATABASES`` for the replicas of ``LITESTREAM['vfs']``.

    ``litestream`` is ``LITESTREAM``; by default that of the calling module, which is
    the project's settings. Raises ``ImproperlyConfigured``, which names the key.
    """
    if litestream is None:
        litestream = sys._getframe(1).f_globals.get("LITESTREAM")
        if litestream is None:
            raise ImproperlyConfigured(
                "get_vfs_databases() found no LITESTREAM where it was called: define "
                "LITESTREAM above it, or pass the dictionary."
            )
    return {one.alias: one.as_database() for one in read(litestream.get("vfs", {}))}


def read(vfs: Any) -> tuple[Replica, ...]:
    """Return the replicas of a ``vfs`` dictionary.

    Raises ``ImproperlyConfigured``, which names the key and what was expected.
    """
    for problem in problems(vfs):
        if problem.id == "E001":
            _refuse(problem)
    shared = {key: vfs[key] for key in ("max_lag_seconds",) if key in vfs}
    return tuple(
        Replica(alias=alias, **{**shared, **_normal(entry)})
        for alias, entry in vfs.items()
        if alias not in _GENERAL
    )


def pin_seconds(vfs: Mapping[str, Any]) -> float:
    """Return how long a write pins its client to the primary without a daemon.

    Raises ``ImproperlyConfigured``, which names the key.
    """
    value = vfs.get("pin_seconds", _DEFAULT_PIN_SECONDS)
    is_right, expected = _GENERAL["pin_seconds"]
    if not is_right(value):
        _refuse(wrong_value(at(_WHERE, "pin_seconds"), expected, value))
    return float(value)


def problems(vfs: Any) -> Iterator[Problem]:
    """Find everything that is wrong in a ``vfs`` dictionary by itself."""
    if not isinstance(vfs, Mapping):
        yield wrong_value(_WHERE, EXPECTED, vfs)
        return
    for alias, entry in vfs.items():
        where = at(_WHERE, alias)
        if alias in _GENERAL:
            check, expected = _GENERAL[alias]
            if not check(entry):
                yield wrong_value(where, expected, entry)
        elif not isinstance(alias, str) or not alias or not is_text(alias):
            yield wrong_value(where, "a database alias as its key", alias)
        elif isinstance(entry, Mapping):
            yield from _entry_problems(alias, where, entry)
        elif not _is_url(entry):
            yield _misspelt(where, alias, _GENERAL) or _not_a_url(
                where, f"{_URL}, or a dictionary with a 'url'"
            )


def _entry_problems(
    alias: str, where: str, entry: Mapping[str, Any]
) -> Iterator[Problem]:
    if "url" not in entry:
        yield wrong(where, "a dictionary with a 'url'", names(entry))
    for key, value in entry.items():
        place = at(where, key)
        if key not in _KEYS:
            yield _misspelt(place, key, _KEYS) or Problem(
                id="E001",
                message=f"{place} is improperly configured: there is no such key, only "
                f"{', '.join(_KEYS)}.",
                hint="Remove it.",
            )
        elif key == "primary" and value == alias:
            yield wrong_value(place, "another alias than the replica's own", value)
        elif problem := _value_problem(place, key, value):
            yield problem


def _value_problem(place: str, key: str, value: Any) -> Problem | None:
    is_right, expected = _KEYS[key]
    if is_right(value):
        return None
    if key == "url":
        return _not_a_url(place, _URL)
    return wrong_value(place, expected, value)


def _refuse(problem: Problem | None) -> None:
    if problem is not None:
        raise ImproperlyConfigured(problem.message)


def _normal(entry: Any) -> dict[str, Any]:
    if isinstance(entry, str):
        return {"url": entry}
    normal = dict(entry)
    for key in ("poll_interval", "open_timeout"):
        if key in normal:
            normal[key] = seconds(normal[key])
    return normal


def _not_a_url(where: str, expected: str) -> Problem:
    # The value may have a password in it, so it is not told.
    return wrong(where, expected)


def _misspelt(where: str, key: Any, known: Mapping[str, Any]) -> Problem | None:
    close = get_close_matches(str(key), list(known), n=1, cutoff=0.8)
    if not close:
        return None
    return Problem(
        id="E001",
        message=f"{where} is improperly configured: did you mean '{close[0]}'?",
        hint=f"Call the key '{close[0]}'.",
    )


def seconds(value: Any) -> float:
    """Return the seconds of a number or of a duration as Go writes it (``1m30s``).

    Not a number for anything else.
    """
    if isinstance(value, str):
        if not _DURATION.fullmatch(value):
            return math.nan
        parts = _DURATION_PART.findall(value)
        return sum(float(number) * _SECONDS[unit] for number, unit in parts)
    return float(value) if _is_number(value) else math.nan


def _is_number(value: Any) -> bool:
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and abs(value) <= sys.float_info.max
    )


def _is_url(value: Any) -> bool:
    return isinstance(value, str) and "://" in value and is_text(value)


def _is_duration(value: Any) -> bool:
    return _SHORTEST_WAIT <= seconds(value) <= _LONGEST_WAIT


def _is_lag(value: Any) -> bool:
    return value is None or (_is_number(value) and value > 0)


def _is_flag(value: Any) -> bool:
    return isinstance(value, bool)


def _is_size(value: Any) -> bool:
    return _is_number(value) and isinstance(value, int) and 0 < value < 2**63


_DURATION_EXPECTED = "a number of seconds or a duration such as '5s'"
_LAG = (_is_lag, "a number of seconds or None")
_GENERAL = {
    "max_lag_seconds": _LAG,
    "pin_seconds": (
        lambda value: _is_number(value) and 0 <= value <= _LONGEST_WAIT,
        "a number of seconds",
    ),
}
_KEYS = {
    "url": (_is_url, "a URL"),
    "primary": (lambda value: isinstance(value, str) and value, "a database alias"),
    "poll_interval": (_is_duration, _DURATION_EXPECTED),
    "cache_size": (_is_size, "a number of bytes"),
    "hydration": (_is_flag, "True or False"),
    "open_timeout": (_is_duration, _DURATION_EXPECTED),
    "max_lag_seconds": _LAG,
    "route": (_is_flag, "True or False"),
}
