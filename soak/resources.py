"""What memory and descriptors processes have (Linux)."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

_INTERVAL = 2.0
_RSS = re.compile(r"^VmRSS:\s+(\d+) kB", re.MULTILINE)

# Where no limit is known, growth has no bound where the median of the last third of the
# samples is above that of the first third by more than this factor and this much besides.
FACTOR = 1.5
MEGABYTES, DESCRIPTORS = 64, 24


@dataclass(frozen=True, kw_only=True)
class Use:
    """What a process has at a moment."""

    megabytes: float
    descriptors: float

    def __str__(self) -> str:
        return f"{self.megabytes:.0f} MB, {self.descriptors:.0f} descriptors"


@dataclass
class Samples:
    """The uses of processes of one kind, in the order of time.

    ``limit`` is what one of them may come to have, if that is known.
    """

    uses: list[Use] = field(default_factory=list)
    limit: Use | None = None

    @property
    def start(self) -> Use:
        return _median(self.uses[: self._third])

    @property
    def end(self) -> Use:
        return _median(self.uses[-self._third :])

    @property
    def most(self) -> Use:
        return Use(
            megabytes=max(use.megabytes for use in self.uses),
            descriptors=max(use.descriptors for use in self.uses),
        )

    @property
    def grows(self) -> bool:
        if self.limit is not None:
            most = self.most
            return (
                most.megabytes > self.limit.megabytes
                or most.descriptors > self.limit.descriptors
            )
        start, end = self.start, self.end
        return (
            end.megabytes > FACTOR * start.megabytes + MEGABYTES
            or end.descriptors > FACTOR * start.descriptors + DESCRIPTORS
        )

    @property
    def _third(self) -> int:
        return max(1, len(self.uses) // 3)


def _median(uses: Sequence[Use]) -> Use:
    return Use(
        megabytes=median(use.megabytes for use in uses),
        descriptors=median(use.descriptors for use in uses),
    )


def use_of(pid: int) -> Use | None:
    """Return what a process has, ``None`` where it is gone."""
    directory = Path(f"/proc/{pid}")
    try:
        found = _RSS.search((directory / "status").read_text())
        descriptors = sum(1 for _ in (directory / "fd").iterdir())
    except OSError:
        return None
    if found is None:
        # It has ended, and nobody has been told of it yet.
        return None
    return Use(megabytes=int(found[1]) / 1024, descriptors=descriptors)


@contextmanager
def sampling(
    processes: Callable[[], Mapping[str, Sequence[int]]],
    limits: Mapping[str, Use],
    log: Path,
) -> Iterator[dict[str, Samples]]:
    """Have the processes of each kind looked at for the block.

    ``limits`` are of some of the kinds.
    """
    samples: dict[str, Samples] = {}
    is_over = threading.Event()

    def look() -> None:
        with log.open("a") as lines:
            while not is_over.wait(_INTERVAL):
                for kind, pids in processes().items():
                    for pid in pids:
                        if use := use_of(pid):
                            one = samples.setdefault(kind, Samples())
                            one.limit = limits.get(kind)
                            one.uses.append(use)
                            print(f"{time.time():.0f} {kind} {pid}: {use}", file=lines)

    with ThreadPoolExecutor(1) as thread:
        looked = thread.submit(look)
        try:
            yield samples
        finally:
            is_over.set()
            looked.result()
