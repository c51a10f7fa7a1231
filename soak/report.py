"""What is printed at the end of a soak, and whether it was a good one."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from .ending import Ending
from .resources import Samples
from .tallies import Tallies

_MOST_EXAMPLES = 10
# From how many seconds on growth is judged.
_LONG = 300


@dataclass(frozen=True, kw_only=True)
class Report:
    seconds: float
    seed: int
    tallies: Tallies
    faults: Counter[str]
    faults_failed: list[str]
    samples: Mapping[str, Samples]
    ending: Ending

    @property
    def wrong(self) -> list[str]:
        return [*self.tallies.wrong, *self.ending.wrong]

    @property
    def is_good(self) -> bool:
        return not (
            self.ending.lost
            or self.ending.problems
            or self.wrong
            or self.tallies.too_stale
            or self.growing
        )

    @property
    def growing(self) -> list[str]:
        """The kinds of processes whose memory or descriptors grew without bound.

        Of a short run nothing is said: processes take what they need one by one.
        """
        if self.seconds < _LONG:
            return []
        return [kind for kind, samples in self.samples.items() if samples.grows]

    def lines(self) -> Iterator[str]:
        for name, value in self._table():
            yield f"{name:<28}{value}"
        for title, examples in (
            ("wrong reads", self.wrong),
            ("stale beyond the bound", self.tallies.too_stale),
            ("problems", self.ending.problems),
        ):
            for example in examples[:_MOST_EXAMPLES]:
                yield f"{title}: {example}"

    def _table(self) -> Iterator[tuple[str, str]]:
        tallies = self.tallies
        yield "duration", f"{self.seconds:.0f} s"
        yield "seed", str(self.seed)
        yield "requests", str(tallies.requests)
        yield "  ok", str(tallies.ok)
        yield "  failed", _counts(tallies.failed)
        yield "  refused while restarting", _counts(tallies.refused)
        yield "reads of replicas", f"{tallies.replica_share():.1%} of all reads"
        yield "  behind the primary", _spread(tallies.staleness)
        yield "rows", f"{self.ending.rows}, {tallies.rows_written} of these by clients"
        yield "faults", _counts(self.faults)
        yield "  not made", _counts(Counter(self.faults_failed))
        yield "lost rows", str(self.ending.lost)
        yield "wrong reads", str(len(self.wrong))
        for kind, count in tallies.wrong_by_kind.most_common():
            yield f"  {kind}", str(count)
        yield "stale beyond the bound", str(len(tallies.too_stale))
        yield "other problems", str(len(self.ending.problems))
        for kind, samples in self.samples.items():
            yield kind, f"{samples.start} at the start"
            yield "", f"{samples.end} at the end; most: {samples.most}"
            if samples.limit is not None:
                yield "", f"{samples.limit} at most are expected"
        growing = ", ".join(self.growing) or "nothing"
        is_long = self.seconds >= _LONG
        yield "grew without bound", growing if is_long else f"not said below {_LONG} s"


def _counts(counts: Counter[str]) -> str:
    told = [f"{counts.total()}"]
    told += [f"  {count:>5}  {what}" for what, count in counts.most_common()]
    return ("\n" + " " * 28).join(told)


def _spread(staleness: list[float]) -> str:
    if not staleness:
        return "-"
    ordered = sorted(staleness)
    chosen = [ordered[int(share * (len(ordered) - 1))] for share in (0.5, 0.99, 1)]
    return "median {:.1f} s, 99 % {:.1f} s, most {:.1f} s".format(*chosen)
