"""What is wrong with a replica, in the words and as the exceptions Django users know."""

from __future__ import annotations

import sqlite3

from django.db.utils import NotSupportedError, OperationalError

from ....redaction import redact_url
from ....replicas import Replica

# What a connection answers that has lost its way to the storage.
_LOST = frozenset(
    {
        sqlite3.SQLITE_BUSY,
        sqlite3.SQLITE_CANTOPEN,
        sqlite3.SQLITE_CORRUPT,
        sqlite3.SQLITE_IOERR,
        sqlite3.SQLITE_NOTADB,
    }
)

NO_ANSWER = "its storage does not answer"


def is_refused_write(error: sqlite3.Error) -> bool:
    """Whether SQLite refused to write."""
    return _code(error) == sqlite3.SQLITE_READONLY


def is_lost(error: sqlite3.Error) -> bool:
    """Whether it takes another connection to read again."""
    return _code(error) in _LOST or str(error) == "SQL logic error"


def read_only(replica: Replica) -> NotSupportedError:
    return NotSupportedError(
        f"'{replica.alias}' is a read replica of '{replica.primary}' and cannot be "
        f"written to: write to '{replica.primary}'."
    )


def travels_by_hand(replica: Replica) -> NotSupportedError:
    return NotSupportedError(
        f"PRAGMA litestream_time would move '{replica.alias}' for whoever reads from it "
        "next, too: use django_litestream.time_travel()."
    )


def begins_by_hand(replica: Replica) -> NotSupportedError:
    return NotSupportedError(
        f"A transaction on '{replica.alias}' that is begun by SQL cannot be told from "
        f"what its reads share: use transaction.atomic(using='{replica.alias}')."
    )


def not_read(replica: Replica, error: sqlite3.Error) -> sqlite3.OperationalError:
    return sqlite3.OperationalError(f"{_named(replica)} could not be read: {error}.")


def not_read_in_time(replica: Replica, reason: str) -> OperationalError:
    return OperationalError(
        f"{_named(replica)} could not be read within {replica.open_timeout:g} s: "
        f"{reason or NO_ANSWER}."
    )


def not_opened(replica: Replica, reason: str) -> OperationalError:
    what = reason or f"nothing came within {replica.open_timeout:g} s"
    return OperationalError(f"{_named(replica)} cannot be opened: {what}.")


def too_old(replica: Replica, age: float, reason: str) -> OperationalError:
    return OperationalError(
        f"{_named(replica)} was last polled {age:.0f} s ago, more than its "
        f"max_lag_seconds of {replica.max_lag_seconds:g} s, and cannot be opened anew: "
        f"{reason or NO_ANSWER}."
    )


def taken_back(replica: Replica) -> OperationalError:
    return OperationalError(
        f"{_named(replica)} was compacted while this transaction began, and what it "
        "reads may lack newer commits: run it again."
    )


def travel_is_over(replica: Replica) -> OperationalError:
    return OperationalError(
        f"The time travel to '{replica.alias}' is over: read inside of its block."
    )


def _named(replica: Replica) -> str:
    return f"The replica '{replica.alias}' ({redact_url(replica.url)})"


def _code(error: sqlite3.Error) -> int:
    # Without the extended part, which says more than is needed here.
    return getattr(error, "sqlite_errorcode", 0) & 0xFF
