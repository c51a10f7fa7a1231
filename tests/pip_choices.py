"""Asks pip for packages on pretended machines, many in one run: its start is slow.

Standard input holds the machines and the command lines of pip's. Standard output gets,
for each machine, the file name of the wheel that each command line would install, or
else what pip has said.
"""

from __future__ import annotations

import io
import json
import multiprocessing
import sys
import tempfile
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pip._internal.cli.main import main as pip
from pip._internal.commands import create_command
from sitecustomize import pretend  # type: ignore[import-not-found]


def choices(machine: dict[str, Any], commands: list[list[str]]) -> list[str]:
    pretend(**machine)
    return [choice(words) for words in commands]


def choice(words: list[str]) -> str:
    with tempfile.TemporaryDirectory() as scratch:
        report = Path(scratch, "report.json")
        said = io.StringIO()
        with redirect_stderr(said), redirect_stdout(io.StringIO()):
            status = pip([*words, "--report", str(report)])
        if status:
            return said.getvalue()
        (chosen,) = json.loads(report.read_text("utf-8"))["install"]
        return Path(urlsplit(chosen["download_info"]["url"]).path).name


def main() -> None:
    asked = json.load(sys.stdin)
    work = [(machine, asked["commands"]) for machine in asked["machines"]]
    # Each in a process of its own, as pip remembers what it has found out; what they
    # all import is imported before.
    create_command("install")
    with multiprocessing.get_context("fork").Pool(1, maxtasksperchild=1) as pool:
        json.dump(pool.starmap(choices, work, chunksize=1), sys.stdout)


if __name__ == "__main__":
    main()
