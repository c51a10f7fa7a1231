"""Measures everything, prints it and keeps it in ``RESULTS.md`` beside this file."""

from __future__ import annotations

import argparse
import tempfile
from contextlib import ExitStack
from pathlib import Path

from django.conf import settings

from . import commands, http_requests, memory, replicas, routing
from .replicated_project import replicated_project
from .results import Results

RESULTS = Path(__file__).with_name("RESULTS.md")


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
    options = parser.parse_args()
    settings.configure()
    results = Results()
    with tempfile.TemporaryDirectory() as directory, ExitStack() as running:
        projects = [
            (
                size,
                running.enter_context(
                    replicated_project(Path(directory).resolve() / str(size), size)
                ),
            )
            for size in options.replica_megabytes
        ]
        results.add(*replicas.measure(projects, options.runs))
        size, project = projects[1]
        results.add(*routing.measure(project, options.runs))
        results.add(*http_requests.measure(project))
        results.add(*memory.measure(size, project, options.runs))
    results.add(*commands.measure(options.megabytes, options.runs))
    command = [
        "python -m benchmarks.run",
        *("--replica-megabytes", *options.replica_megabytes),
        *("--megabytes", *options.megabytes),
        *("--runs", options.runs),
    ]
    found = results.as_markdown(" ".join(map(str, command)), options.runs)
    print(found, end="")
    options.results.write_text(found, encoding="utf-8")


if __name__ == "__main__":
    main()
