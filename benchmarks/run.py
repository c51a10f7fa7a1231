"""Measures everything, prints it and keeps it in ``RESULTS.md`` beside this file."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings

from . import (
    http_requests,
    installation,
    memory,
    peers,
    plots,
    reads,
    replicas,
    restores,
    routing,
)
from .replicated_project import ReplicatedProjects
from .results import Result, Results

RESULTS = Path(__file__).with_name("RESULTS.md")
LARGE = 5_000

Subject = Callable[[ReplicatedProjects, int], Iterator[Result]]


def _measure_replicas(projects: ReplicatedProjects, runs: int) -> Iterator[Result]:
    yield from replicas.measure(projects.file, runs)
    size, project = projects.file[len(projects.file) // 2]
    yield from http_requests.measure(project)
    yield from memory.measure(size, project, runs)


def _measure_installation(projects: ReplicatedProjects, runs: int) -> Iterator[Result]:
    return installation.measure(runs)


# What changes the databases comes after what reads them.
SUBJECTS: dict[str, Subject] = {
    "replicas": _measure_replicas,
    "routing": routing.measure,
    "reads": reads.measure,
    "restores": restores.measure,
    "peers": peers.measure,
    "installation": _measure_installation,
}


def main() -> None:
    options = _options()
    # What was started ends with the blocks below.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    settings.configure()
    _leave_out_of_environment("AWS_", "LITESTREAM_")
    megabytes = [*options.megabytes, *([LARGE] if options.large else [])]
    results = Results()
    before = _kept(options)
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        projects = ReplicatedProjects(Path(directory).resolve(), megabytes, running)
        for name in options.only:
            load = os.getloadavg()[0]
            start = time.monotonic()
            results.add(*SUBJECTS[name](projects, options.runs))
            results.add_run(name, options.runs, time.monotonic() - start, load)
            found = _write(results, options, megabytes, before)
    print(found, end="")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--megabytes",
        type=int,
        nargs="+",
        default=[1, 10, 100, 1000],
        help="sizes of the databases, smallest first",
    )
    parser.add_argument(
        "--large", action="store_true", help=f"a database of {LARGE:,} MB as well"
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="file that is written"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=list(SUBJECTS),
        help="what is measured; of the rest the file keeps what it has",
    )
    return parser.parse_args()


def _leave_out_of_environment(*beginnings: str) -> None:
    """Have nothing of it come to what is started, but what is put there on purpose."""
    for name in [name for name in os.environ if name.startswith(beginnings)]:
        del os.environ[name]


def _kept(options: argparse.Namespace) -> str:
    """Return the results that are there, unless all are to be found anew."""
    if set(options.only) == set(SUBJECTS) or not options.results.exists():
        return ""
    text: str = options.results.read_text(encoding="utf-8")
    return text


def _write(
    results: Results, options: argparse.Namespace, megabytes: list[int], before: str
) -> str:
    command = [
        "python -m benchmarks.run",
        *("--megabytes", *megabytes),
        *("--runs", options.runs),
    ]
    drawn = options.results.with_name("plots")
    if not before:
        for plot in drawn.glob("*.svg"):
            plot.unlink()
    if len(megabytes) > 1:
        for figure in results.figures:
            plots.draw(figure, drawn)
    found = results.as_markdown(
        " ".join(map(str, command)),
        sorted(plot.name for plot in drawn.glob("*.svg")),
        before,
    )
    options.results.write_text(found, encoding="utf-8")
    return found


if __name__ == "__main__":
    main()
