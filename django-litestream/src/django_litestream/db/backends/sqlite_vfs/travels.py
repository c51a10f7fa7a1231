"""The aliases that exist for the length of a time travel, and their connections."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol
from weakref import WeakSet

from django.db import connections


class Traveller(Protocol):
    """A connection of one thread to a moment."""

    alias: str

    def leave(self) -> None: ...


class _Travels:
    """The time travels that are going on, by their aliases.

    An alias has a connection in each thread that uses it; all are left with it.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._wrappers: dict[str, WeakSet[Traveller]] = {}
        self._of_thread = threading.local()

    @contextmanager
    def to(self, alias: str, settings: dict[str, Any]) -> Iterator[None]:
        """Have ``connections[alias]`` in every thread for the length of the block."""
        with self._lock:
            self._wrappers[alias] = WeakSet()
            # Another thread may be going through the dictionary.
            self._publish({**connections.settings, alias: settings})
        try:
            yield
        finally:
            with self._lock:
                rest = dict(connections.settings)
                del rest[alias]
                self._publish(rest)
                wrappers = self._wrappers.pop(alias)
            for wrapper in list(wrappers):
                wrapper.leave()
            self._forget_those_over()

    def add(self, wrapper: Traveller) -> None:
        """Note that ``wrapper`` is the current thread's for its alias."""
        self._forget_those_over()
        with self._lock:
            self._wrappers.get(wrapper.alias, WeakSet()).add(wrapper)
        self._aliases_of_thread.add(wrapper.alias)

    @property
    def _aliases_of_thread(self) -> set[str]:
        aliases: set[str] = self._of_thread.__dict__.setdefault("aliases", set())
        return aliases

    def _publish(self, settings: dict[str, Any]) -> None:
        # Django has it cached there.
        connections.__dict__["settings"] = settings

    def _forget_those_over(self) -> None:
        """Take from the current thread the connections of travels that are over.

        Django keeps them where no other thread can reach them.
        """
        aliases = self._aliases_of_thread
        for alias in [one for one in aliases if one not in self._wrappers]:
            aliases.discard(alias)
            with suppress(AttributeError):
                del connections[alias]


travels = _Travels()
