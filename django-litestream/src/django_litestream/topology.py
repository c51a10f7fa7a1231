"""Which alias is a replica of which, as ``settings.DATABASES`` says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from django.db import connections

from .replicas import ENGINE, Replica


@dataclass(frozen=True, kw_only=True)
class Topology:
    """``replicas`` by their alias, ``routed`` to by the alias of their primary.

    The aliases of time travels are among ``replicas``.
    """

    replicas: Mapping[str, Replica]
    routed: Mapping[str, tuple[Replica, ...]]

    def primary_of(self, alias: str) -> str:
        """Return the alias that ``alias`` is a replica of, or itself."""
        replica = self.replicas.get(alias)
        return alias if replica is None else replica.primary


def _read(databases: Mapping[str, Any]) -> Topology:
    replicas = {
        alias: Replica.from_database(alias, database)
        for alias, database in databases.items()
        if database.get("ENGINE") == ENGINE
    }
    routed: dict[str, tuple[Replica, ...]] = {}
    for replica in replicas.values():
        if replica.route and replica.moment is None:
            routed[replica.primary] = (*routed.get(replica.primary, ()), replica)
    return Topology(replicas=replicas, routed=routed)


_seen: tuple[Mapping[str, Any], Topology] | None = None


def topology() -> Topology:
    """Return the topology of the databases there are now."""
    global _seen
    databases = connections.settings
    seen = _seen
    if seen is None or seen[0] is not databases:
        _seen = seen = (databases, _read(databases))
    return seen[1]
