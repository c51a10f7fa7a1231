"""How far behind a read replica is."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any

from django.db import connections
from django.db.utils import OperationalError

from .conf import app_settings
from .db.backends.sqlite_vfs.base import DatabaseWrapper
from .distance import FOREIGN, Look, look_at_daemon
from .errors import UnknownDatabase
from .redaction import redact_url
from .replicas import Replica
from .topology import topology

# The seconds since the last poll up to which a replica is what its key says.
_HEALTHY_UP_TO = 60.0
_LAGGING_UP_TO = 300.0

# How long what the daemon has cut may take to be uploaded and polled, beside the two
# intervals, in seconds, and how often it is looked for.
_UPLOADED_WITHIN = 10.0
_PAUSE = 0.2

# A status is no reason to wait for a daemon that does not answer.
_DAEMON_TIMEOUT = 2.0


class Health(Enum):
    """What the ages of the last poll and of the daemon's last cut say of a replica."""

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
    """What is known of one replica.

    ``reason`` says why nothing is, or why the primary's daemon cuts nothing, which last
    did ``cut_seconds`` ago, or that the replica does not get it.
    """

    alias: str
    is_vfs: bool = True
    replica_url: str | None = None
    txid: int | None = None
    lag_seconds: float | None = None
    behind: int | None = None
    cut_seconds: float | None = None
    reason: str = ""

    @property
    def health(self) -> Health:
        """What ``vfs-status`` calls it."""
        polled = Health.of_lag(self.lag_seconds)
        if not self.reason or polled is Health.UNKNOWN:
            return polled
        cut = Health.of_lag(self.cut_seconds)
        if Health.STALE in (polled, cut):
            return Health.STALE
        # What happened a second ago is no reason to be called healthy.
        return Health.LAGGING if cut is Health.HEALTHY else cut

    @property
    def lines(self) -> list[str]:
        """What ``vfs-status`` prints below the name and the health."""
        told = {
            "replica": self.replica_url,
            "TXID": None if self.txid is None else f"{self.txid:016x}",
            "last polled": _ago(self.lag_seconds),
            "behind": None if self.txid is None else self._behind,
            "reason": self.reason or None,
        }
        return [f"  {name:<12} {value}" for name, value in told.items() if value]

    @property
    def _behind(self) -> str:
        if self.behind is None and self.reason:
            return "unknown"
        return _transactions(self.behind)

    def as_dict(self) -> dict[str, Any]:
        """Return what ``get_vfs_status`` returns."""
        return {
            "is_vfs": self.is_vfs,
            "alias": self.alias,
            "replica_url": self.replica_url,
            "txid": self.txid,
            "lag_seconds": self.lag_seconds,
            "behind": self.behind,
            "status": self.health.value,
            "reason": self.reason,
        }


def get_vfs_status(alias: str) -> dict[str, Any]:
    """Return what the current thread's connection to the replica ``alias`` knows.

    ``is_vfs``: whether the alias is read through the VFS; if not, ``txid``,
    ``lag_seconds`` and ``behind`` are ``None``. ``replica_url``: without its secrets.
    ``txid``: the newest transaction, an ``int``. ``lag_seconds``: since the replica
    was last polled with success. ``behind``: how many transactions the primary's
    daemon has cut that the replica has not, ``None`` where no daemon answers, or one
    that cuts nothing. ``status``: what ``vfs-status`` calls it. ``reason``: why it is
    not healthy, if that is not its poll's age.

    Raises ``OperationalError`` where the replica cannot be opened.
    """
    return status_of(alias).as_dict()


def look_at(*aliases: str) -> list[ReplicaStatus]:
    """Return the status of these replicas, of all where none is named.

    Those that are behind are looked at until they have what their primaries' daemons
    had, as a poll says nothing of what was not uploaded to where it looks.

    Raises ``UnknownDatabase`` for what is no replica.
    """
    known = topology().replicas
    if unknown := [alias for alias in aliases if alias not in known]:
        raise UnknownDatabase(
            f"There is no replica '{unknown[0]}' in settings.DATABASES: there "
            f"{'are ' + ', '.join(known) if known else 'is none'}."
        )
    replicas = [known[alias] for alias in dict.fromkeys(aliases or known)]
    statuses = [_look(replica) for replica in replicas]
    since = time.monotonic()
    return [
        _caught_up(status, replica, since)
        for status, replica in zip(statuses, replicas, strict=True)
    ]


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
    # The primary has had what the replica has, which may catch up, but not go back.
    held = connection.snapshots.newest_txid()
    look = look_at_daemon(replica.primary, _DAEMON_TIMEOUT) or Look()
    reason = "" if replica.moment else _reason(look, held)
    txid = connection.snapshots.newest_txid()
    is_known = look.txid is not None and not reason
    return ReplicaStatus(
        alias=alias,
        replica_url=redact_url(replica.url),
        txid=txid,
        lag_seconds=None if replica.moment else connection.snapshots.poll_age(),
        behind=max(0, (look.txid or 0) - txid) if is_known else None,
        cut_seconds=look.seconds,
        reason=reason,
    )


def _look(replica: Replica) -> ReplicaStatus:
    """Return the status of a replica, also where it cannot be opened."""
    try:
        return status_of(replica.alias)
    except OperationalError as error:
        url = redact_url(replica.url)
        return ReplicaStatus(alias=replica.alias, replica_url=url, reason=str(error))


def _caught_up(status: ReplicaStatus, replica: Replica, since: float) -> ReplicaStatus:
    """Return the status once the replica has what it was behind, or has not got it.

    It is waited for from ``since`` on, a moment of the monotonic clock.
    """
    # Nothing comes to a moment of the past.
    if not status.behind or status.txid is None or replica.moment:
        return status
    wanted = status.txid + status.behind
    within = sum(
        (_UPLOADED_WITHIN, app_settings.longest_sync_interval, replica.poll_interval)
    )
    is_over = False
    while not is_over:
        time.sleep(_PAUSE)
        is_over = time.monotonic() > since + within
        status = _look(replica)
        if status.reason or status.txid is None or status.txid >= wanted:
            return status
    reason = (
        f"For {within:.0f} s it has lacked what its primary's daemon had: see whether it "
        "is the replica of this database, and the daemon's log."
    )
    return replace(status, reason=reason)


def _reason(look: Look, txid: int) -> str:
    if look.txid is not None and txid > look.txid:
        return FOREIGN
    if look.problem or look.seconds is None or look.seconds < _HEALTHY_UP_TO:
        return look.problem
    return (
        f"The primary's daemon has cut nothing for {look.seconds:.0f} s: see its log."
    )


def _ago(seconds: float | None) -> str | None:
    return None if seconds is None else f"{seconds:.0f} s ago"


def _transactions(number: int | None) -> str:
    if number is None:
        return "unknown: no daemon of the primary answers here"
    return f"{number} transaction{'' if number == 1 else 's'}"
