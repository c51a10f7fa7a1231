"""Measures everything, prints it and keeps it in ``RESULTS.md`` beside this file."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings

from . import commands, http_requests, installation, memory, replicas, routing
from .replicated_project import replicated_project
from .results import Results

RESULTS = Path(__file__).with_name("RESULTS.md")
SUBJECTS = ("replicas", "commands", "installation")


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run", description=__doc__.splitlines()[0]
    )
    parser.add_argument(
        "--megabytes",
        type=int,
        nargs="+",
        default=[1, 10, 100],
        help="sizes of the databases that are verified",
    )
    parser.add_argument(
        "--replica-megabytes",
        type=int,
        nargs=3,
        default=[10, 100, 1000],
        metavar=("SMALL", "MIDDLE", "LARGE"),
        help="sizes of the databases that are read through replicas, from 10 on",
    )
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument(
        "--results", type=Path, default=RESULTS, help="file that is written"
    )
    parser.add_argument(
        "--only",
        nargs="+",
        choices=SUBJECTS,
        default=SUBJECTS,
        help="what is measured; of the rest the file keeps what it has",
    )
    options = parser.parse_args()
    settings.configure()
    results = Results()
    if "replicas" in options.only:
        _measure_replicas(results, options.replica_megabytes, options.runs)
    if "commands" in options.only:
        results.add(*commands.measure(options.megabytes, options.runs))
    if "installation" in options.only:
        results.add(*installation.measure(options.runs))
    command = [
        "python -m benchmarks.run",
        *("--replica-megabytes", *options.replica_megabytes),
        *("--megabytes", *options.megabytes),
        *("--runs", options.runs),
    ]
    before = ""
    if options.only is not SUBJECTS:
        before = options.results.read_text(encoding="utf-8")
    found = results.as_markdown(" ".join(map(str, command)), options.runs, before)
    print(found, end="")
    options.results.write_text(found, encoding="utf-8")


def _measure_replicas(results: Results, megabytes: Sequence[int], runs: int) -> None:
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        projects = [
            (
                size,
                running.enter_context(
                    replicated_project(Path(directory).resolve() / str(size), size)
                ),
            )
            for size in megabytes
        ]
        results.add(*replicas.measure(projects, runs))
        size, project = projects[1]
        results.add(*routing.measure(project, runs))
        results.add(*http_requests.measure(project))
        results.add(*memory.measure(size, project, runs))


if __name__ == "__main__":
    main()
