"""What happens to a replicated database in the life of a server.

A fault is a generator: it does its harm at a random moment, yields, gets back what
became of the backup, and then does what the documentation tells a user to do. Where
no user has to do anything it ends with the harm. What it needs of the world other than a
``file`` replica are the arguments of its decorator.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any

from .outcome import Outcome
from .world import World

type Course = Generator[None, Outcome, None]


@dataclass(frozen=True, kw_only=True)
class Fault:
    """A fault, with the options of the ``World`` it happens in."""

    happen: Callable[[World], Course]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.happen.__name__

    @property
    def description(self) -> str:
        return (self.happen.__doc__ or "").strip()


@dataclass
class Catalogue:
    """Faults of one kind."""

    faults: list[Fault] = field(default_factory=list)

    def fault(
        self, **options: Any
    ) -> Callable[[Callable[[World], Course]], Callable[[World], Course]]:
        def add(happen: Callable[[World], Course]) -> Callable[[World], Course]:
            self.faults.append(Fault(happen=happen, options=options))
            return happen

        return add
