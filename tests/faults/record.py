"""What came of each fault, kept in a file and told as a table.

With DJANGO_LITESTREAM_PROVE_RECORD=FILE each run adds a line to FILE, and
``python -m tests.faults.record FILE`` prints what the lines amount to.
"""

from __future__ import annotations

import json
import os
import sys
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django_litestream.verify_report import Verdict

from .world import World

RECORD = os.environ.get("DJANGO_LITESTREAM_PROVE_RECORD")

_HEADINGS = (
    "fault",
    "runs",
    "good / bad / unchecked after the harm",
    "acknowledged rows missing then",
    "verify wrong",
    "unacknowledged rows that the database lost",
    "lost in the end",
    "failed",
)


@contextmanager
def recorded(fault: str, seed: int, world: World) -> Iterator[None]:
    """Have the run that the block is added to the record, if one is kept."""
    error: BaseException | None = None
    try:
        yield
    except BaseException as failure:
        error = failure
        raise
    finally:
        if RECORD is not None:
            _keep(RECORD, fault, seed, world, error)


def _keep(
    path: str, fault: str, seed: int, world: World, error: BaseException | None
) -> None:
    run = {
        "fault": fault,
        "seed": seed,
        "outcomes": [
            {**asdict(outcome), "verdict": outcome.verdict.name}
            for outcome in world.outcomes
        ],
        "wrong": sum(not outcome.is_told_right for outcome in world.outcomes),
        "gone": world.gone,
        "error": f"{type(error).__name__}: {error}"[:2000] if error else "",
    }
    line = f"{json.dumps(run)}\n".encode()
    # By one call of the system, as several processes may write.
    with open(path, "ab", buffering=0) as record:
        record.write(line)


def rows(runs: Iterable[dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """Yield a row of the table for each fault, in the order of the first runs."""
    by_fault: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for run in runs:
        by_fault[run["fault"]].append(run)
    for fault, of_it in by_fault.items():
        harmed = [run["outcomes"][0] for run in of_it if run["outcomes"]]
        verdicts = [outcome["verdict"] for outcome in harmed]
        ended = [run["outcomes"][-1] for run in of_it if len(run["outcomes"]) > 1]
        yield (
            fault,
            str(len(of_it)),
            " / ".join(str(verdicts.count(verdict.name)) for verdict in Verdict),
            str(sum(map(_lacks_acknowledged, harmed))),
            str(sum(run["wrong"] for run in of_it)),
            str(sum(run["gone"] for run in of_it)),
            str(sum(bool(one["problems"] or one["missing"]) for one in ended)),
            str(sum(bool(run["error"]) for run in of_it)),
        )


def _lacks_acknowledged(outcome: dict[str, Any]) -> bool:
    return any("was acknowledged" in problem for problem in outcome["problems"])


def main(path: str) -> None:
    runs = [json.loads(line) for line in Path(path).read_text().splitlines()]
    for row in (_HEADINGS, ("---",) * len(_HEADINGS), *rows(runs)):
        print(f"| {' | '.join(row)} |")


if __name__ == "__main__":
    main(*sys.argv[1:])
