"""Soaks the site, prints what came of it, and ends with 1 if that was not good."""

from __future__ import annotations

import argparse
import random
import shutil
import signal
import sys
import tempfile
import time
from pathlib import Path
from typing import NoReturn

from .clients import clients
from .ending import end
from .faults import KINDS, Faults
from .report import Report
from .resources import sampling
from .stage import LEDGERS, LIMIT_OF_WORKER, Stage, stage
from .tallies import Tallies
from .truth import Truth

_PROGRESS = 30.0
_WORKER = "gunicorn worker"


def main() -> int:
    options = _options()
    for number in (signal.SIGHUP, signal.SIGTERM):
        signal.signal(number, _end)
    directory = Path(tempfile.mkdtemp(prefix="soak-"))
    print(f"seed {options.seed}, in {directory}", flush=True)
    with stage(directory, options.seed, options.compact_every) as made:
        report = soak(made, options)
    for line in report.lines():
        print(line)
    if report.is_good:
        shutil.rmtree(directory)
    else:
        print(f"not good: the logs are in {directory}")
    return 0 if report.is_good else 1


def _end(number: int, frame: object) -> NoReturn:
    # What was started is ended on the way out.
    sys.exit(128 + number)


def soak(made: Stage, options: argparse.Namespace) -> Report:
    """Have faults happen under load, then judge what is left."""
    tallies = Tallies()
    truths = {ledger: Truth(made.journal(ledger)) for ledger in LEDGERS}
    faults = Faults(made, random.Random(options.seed), options.faults)
    began = time.monotonic()
    with (
        sampling(
            lambda: _processes(made), {_WORKER: LIMIT_OF_WORKER}, made.log("resources")
        ) as samples,
        clients(made.address, truths, tallies, options.seed),
        faults.happening(),
    ):
        _wait(began + options.minutes * 60, tallies, faults)
    seconds = time.monotonic() - began
    report = Report(
        seconds=seconds,
        seed=options.seed,
        tallies=tallies,
        faults=faults.done,
        faults_failed=faults.failed,
        samples=samples,
        ending=end(made, truths),
    )
    made.log("faults").write_text("\n".join(faults.log) + "\n")
    made.log("reads").write_text("\n".join([*report.wrong, *tallies.too_stale]) + "\n")
    return report


def _wait(until: float, tallies: Tallies, faults: Faults) -> None:
    began = time.monotonic()
    while (left := until - time.monotonic()) > 0:
        time.sleep(min(left, _PROGRESS))
        print(
            f"{time.monotonic() - began:5.0f} s: {tallies.requests} requests, "
            f"{tallies.failed.total()} failed, {tallies.refused.total()} refused; "
            f"{tallies.replica_share():.0%} of reads by replicas; "
            f"{faults.done.total()} faults; {len(tallies.wrong)} wrong, "
            f"{len(tallies.too_stale)} too stale",
            flush=True,
        )


def _processes(made: Stage) -> dict[str, list[int]]:
    daemon = made.daemon.pid
    return {"daemon": [daemon] if daemon else [], _WORKER: made.workers}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m soak", description=__doc__)
    parser.add_argument("minutes", type=float)
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument(
        "--faults",
        nargs="*",
        choices=list(KINDS),
        default=list(KINDS),
        help="what may go wrong; without a name nothing does",
    )
    parser.add_argument(
        "--compact-every",
        metavar="DURATION",
        help="the interval of Litestream's only level, in place of its own levels",
    )
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
