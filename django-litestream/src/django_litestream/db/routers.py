"""The router that reads from replicas."""

from __future__ import annotations

import random
from typing import Any

from django.core.exceptions import SynchronousOnlyOperation
from django.db import DEFAULT_DB_ALIAS, connections, router
from django.db.models import Model

from .. import health
from ..routing import current_unit
from ..topology import topology


class LitestreamRouter:
    """Reads from a healthy replica of a model's primary, writes to the primary.

    A client's own writes are never missed: inside ``atomic()`` on the primary, and for
    the rest of a request or task that has written, it is the primary that is read, and
    after that a replica which has the write (see ``LitestreamMiddleware``). No
    decision waits for a replica. Other routers may say what a model's primary is.
    """

    def db_for_read(self, model: type[Model], **hints: Any) -> str | None:
        known = topology()
        primary = self._primary(model, hints)
        if primary not in known.routed:
            # Of a moment in the past, or nothing of ours.
            return primary if primary in known.replicas else None
        instance = hints.get("instance")
        came_from = None if instance is None else instance._state.db
        if came_from == primary:
            # Related rows from a replica might be older than the instance.
            return primary
        watcher = health.watcher()
        healthy = watcher.healthy(primary) if watcher else ()
        if not healthy:
            return primary
        needed = 0
        if (unit := current_unit()) is not None:
            if primary in unit.written:
                return primary
            needed = unit.needed.get(primary, 0)
        if connections[primary].in_atomic_block:
            return primary
        if came_from and known.primary_of(came_from) == primary:
            # Those from another of its replicas might be older, too.
            healthy = tuple(alias for alias in healthy if alias == came_from)
        first = int(random.random() * len(healthy))
        for alias in healthy[first:] + healthy[:first]:
            try:
                if connections[alias].is_ready(needed):  # type: ignore[attr-defined]
                    return alias
            except SynchronousOnlyOperation:
                break
        return primary

    def db_for_write(self, model: type[Model], **hints: Any) -> str | None:
        # Without an answer Django writes to where the instance was read from.
        if (instance := hints.get("instance")) is None:
            return None
        replica = topology().replicas.get(instance._state.db)
        if replica is None:
            return None
        if replica.moment is not None:
            # Where it is refused: the past must not become the present by a save.
            return replica.alias
        return _ask_others(model, hints) or replica.primary

    def allow_relation(self, obj1: Model, obj2: Model, **hints: Any) -> bool | None:
        one, other = obj1._state.db, obj2._state.db
        if one is None or other is None:
            return None
        known = topology()
        return True if known.primary_of(one) == known.primary_of(other) else None

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        replica = topology().replicas.get(db)
        if replica is None:
            return None
        # With a model it is asked for what is done with the model's rows: `dumpdata`
        # would leave them out. The backend refuses to migrate before this is asked.
        if "model" in hints:
            allowed: bool = router.allow_migrate(replica.primary, app_label, **hints)
            return allowed
        return False

    def _primary(self, model: type[Model], hints: dict[str, Any]) -> str:
        known = topology()
        instance = hints.get("instance")
        alias: str | None = instance._state.db if instance is not None else None
        replica = known.replicas.get(alias) if alias else None
        if replica is not None and replica.moment is not None:
            return replica.alias
        if other := _ask_others(model, hints):
            return known.primary_of(other)
        return known.primary_of(alias) if alias else DEFAULT_DB_ALIAS


def _ask_others(model: type[Model], hints: dict[str, Any]) -> str | None:
    """Return where the project's other routers have ``model`` written."""
    if len(router.routers) == 1:
        return None
    others = (one for one in router.routers if not isinstance(one, LitestreamRouter))
    answers = (
        other.db_for_write(model, **hints)
        for other in others
        if hasattr(other, "db_for_write")
    )
    return next((str(answer) for answer in answers if answer), None)
