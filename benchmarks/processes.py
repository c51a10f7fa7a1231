"""The memory of a process with all that it has started, and its end (Linux)."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tests.project import wait_until

MEGABYTE = 1_000_000


@dataclass(frozen=True, kw_only=True)
class Resident:
    """Megabytes: what each process has resident, and that with its share of shared pages.

    ``rss`` counts a page once for each process that has it, ``pss`` once in all.
    """

    processes: int
    rss: float
    pss: float


def resident(pid: int) -> Resident:
    pids = list(_tree(pid))
    texts = [Path(f"/proc/{one}/smaps_rollup").read_text() for one in pids]
    return Resident(
        processes=len(pids),
        rss=sum(_megabytes("Rss", text) for text in texts),
        pss=sum(_megabytes("Pss", text) for text in texts),
    )


def stop_with_children(process: subprocess.Popen[bytes]) -> None:
    """End a process and its children, which may not end with it."""
    if process.poll() is not None:
        return
    pids = list(_tree(process.pid))
    for pid in pids:
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGTERM)
    process.wait()
    wait_until(lambda: not any(_runs(pid) for pid in pids))


def _tree(pid: int) -> Iterator[int]:
    yield pid
    for children in Path(f"/proc/{pid}/task").glob("*/children"):
        for child in children.read_text().split():
            yield from _tree(int(child))


def _runs(pid: int) -> bool:
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False


def _megabytes(what: str, text: str) -> float:
    found = re.search(rf"^{what}: +(\d+) kB", text, re.MULTILINE)
    assert found
    return int(found[1]) * 1024 / MEGABYTE
