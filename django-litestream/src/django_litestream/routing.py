"""What a request or a task has written, and so where it has to read.

It is kept in a context variable: threads, async views and tasks do not share it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import Any

from django.db.backends.base.base import BaseDatabaseWrapper

from .topology import topology

_READS = re.compile(
    r"\s*(SELECT|VALUES|EXPLAIN|PRAGMA|BEGIN|COMMIT|ROLLBACK|SAVEPOINT|RELEASE)\b"
    # A WITH may lead up to any of these; what only looks like one does no harm.
    r"|\s*WITH\b(?!.*\b(INSERT|UPDATE|DELETE|REPLACE)\b)",
    re.IGNORECASE | re.DOTALL,
)


@dataclass(slots=True)
class UnitOfWork:
    """A request or a task.

    ``written``: the primaries it has written to. ``needed``: by primary the TXID that
    a replica must have reached to be read from, because the client wrote before.
    ``is_begun``: whether somebody has said where it begins, so that it has an end.
    """

    written: set[str] = field(default_factory=set)
    needed: dict[str, int] = field(default_factory=dict)
    is_begun: bool = True


_current: ContextVar[UnitOfWork | None] = ContextVar("litestream_unit", default=None)

current_unit = _current.get


@contextmanager
def unit_of_work() -> Iterator[UnitOfWork]:
    """Have what is done in the block be a request or a task of its own.

    Around the tasks of a worker, for example, it ends the preference for the primary
    that a write begins. Inside of another unit it is a part of that: what either has
    written the other reads as well. It is a decorator too.
    """
    outer = _current.get()
    if outer is None or not outer.is_begun:
        outer = UnitOfWork()
    unit = UnitOfWork(written=set(outer.written), needed=dict(outer.needed))
    token = _current.set(unit)
    try:
        yield unit
    finally:
        _current.reset(token)
        outer.written |= unit.written


def begin_unit(**kwargs: Any) -> UnitOfWork:
    """Begin a request, which lasts until the next one begins in this context.

    So what a streaming response reads later is still part of it. A receiver of
    ``request_started`` too: a thread goes from one request to the next.
    """
    unit = UnitOfWork()
    _current.set(unit)
    return unit


def watch_writes(connection: BaseDatabaseWrapper, **kwargs: Any) -> None:
    """Have writes noted that go through a connection to a primary of replicas.

    It is a receiver of ``connection_created`` too.
    """
    if connection.alias in topology().routed and not any(
        isinstance(wrapper, _WriteWatch) for wrapper in connection.execute_wrappers
    ):
        # First, as Django takes away the last one at the end of a block which a
        # connection may have been opened in.
        connection.execute_wrappers.insert(0, _WriteWatch(connection.alias))


class _WriteWatch:
    """What Django calls around each statement."""

    def __init__(self, alias: str) -> None:
        self._alias = alias

    def __call__(self, execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if not _READS.match(sql):
            unit = _current.get()
            if unit is None:
                unit = UnitOfWork(is_begun=False)
                _current.set(unit)
            unit.written.add(self._alias)
        return execute(sql, *rest)
