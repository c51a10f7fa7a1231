"""How far behind a read replica is."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Any

from django.db import connections
from django.db.utils import OperationalError

from .db.backends.sqlite_vfs.base import DatabaseWrapper
from .distance import newest_of_primary
from .errors import UnknownDatabase
from .redaction import redact_url
from .topology import topology

# The seconds since the last poll up to which a replica is what its key says.
_HEALTHY_UP_TO = 60.0
_LAGGING_UP_TO = 300.0

# A status is no reason to wait for a daemon that does not answer.
_DAEMON_TIMEOUT = 2.0


class Health(Enum):
    """What the age of the last poll says of a replica."""

    HEALTHY = "Healthy"
    LAGGING = "Lagging"
    STALE = "Stale"
    UNKNOWN = "Unknown"

    @classmethod
    def of_lag(cls, seconds: float | None) -> Health:
        """Return the health of a replica that was polled ``seconds`` ago."""
        if seconds is None:
            return cls.UNKNOWN
        if seconds < _HEALTHY_UP_TO:
            return cls.HEALTHY
        return cls.LAGGING if seconds <= _LAGGING_UP_TO else cls.STALE


@dataclass(frozen=True, kw_only=True)
class ReplicaStatus:
    """What is known of one replica; ``reason`` says why nothing is."""

    alias: str
    is_vfs: bool = True
    replica_url: str | None = None
    txid: int | None = None
    lag_seconds: float | None = None
    behind: int | None = None
    reason: str = ""

    @property
    def health(self) -> Health:
        """What ``vfs-status`` calls it."""
        return Health.of_lag(self.lag_seconds)

    @property
    def lines(self) -> list[str]:
        """What ``vfs-status`` prints below the name and the health."""
        told = {
            "replica": self.replica_url,
            "TXID": None if self.txid is None else f"{self.txid:016x}",
            "last polled": _ago(self.lag_seconds),
            "behind": None if self.txid is None else _transactions(self.behind),
            "reason": self.reason or None,
        }
        return [f"  {name:<12} {value}" for name, value in told.items() if value]

    def as_dict(self) -> dict[str, Any]:
        """Return what ``get_vfs_status`` returns."""
        return {
            "is_vfs": self.is_vfs,
            "alias": self.alias,
            "replica_url": self.replica_url,
            "txid": self.txid,
            "lag_seconds": self.lag_seconds,
            "behind": self.behind,
        }


def get_vfs_status(alias: str) -> dict[str, Any]:
    """Return what the current thread's connection to the replica ``alias`` knows.

    ``is_vfs``: whether the alias is read through the VFS; if not, ``txid``,
    ``lag_seconds`` and ``behind`` are ``None``. ``replica_url``: without its secrets.
    ``txid``: the newest transaction, an ``int``. ``lag_seconds``: since the replica
    was last polled with success. ``behind``: how many transactions the primary's
    daemon has cut that the replica has not, ``None`` where no daemon answers.

    Raises ``OperationalError`` where the replica cannot be opened.
    """
    return status_of(alias).as_dict()


def look_at_all() -> list[ReplicaStatus]:
    """Return the status of each replica of ``settings.DATABASES``."""
    return [look_at(alias) for alias in topology().replicas]


def look_at(alias: str) -> ReplicaStatus:
    """Return the status of a replica, also where it cannot be opened.

    Raises ``UnknownDatabase`` for what is no replica.
    """
    known = topology().replicas
    if alias not in known:
        raise UnknownDatabase(
            f"There is no replica '{alias}' in settings.DATABASES: there "
            f"{'are ' + ', '.join(known) if known else 'is none'}."
        )
    try:
        return status_of(alias)
    except OperationalError as error:
        url = redact_url(known[alias].url)
        return ReplicaStatus(alias=alias, replica_url=url, reason=str(error))


def status_of(alias: str) -> ReplicaStatus:
    """Return the status that ``get_vfs_status`` tells, with the same errors."""
    connection = connections[alias]
    if not isinstance(connection, DatabaseWrapper):
        return ReplicaStatus(alias=alias, is_vfs=False)
    replica = connection.replica
    if replica is None:
        return ReplicaStatus(alias=alias, is_vfs=False)
    connection.ensure_connection()
    assert connection.snapshots is not None
    # The primary first: the replica may have caught up in between, but not gone back.
    newest = newest_of_primary(replica.primary, _DAEMON_TIMEOUT)
    txid = connection.snapshots.newest_txid()
    return ReplicaStatus(
        alias=alias,
        replica_url=redact_url(replica.url),
        txid=txid,
        lag_seconds=None if replica.moment else connection.snapshots.poll_age(),
        behind=None if newest is None else max(0, newest - txid),
    )


def _ago(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s ago"


def _transactions(number: int | None) -> str:
    if number is None:
        return "unknown: no daemon of the primary answers here"
    return f"{number} transaction{'' if number == 1 else 's'}"
