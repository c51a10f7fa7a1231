"""What is left of a soak once it is over: can all of it be restored?"""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from tests.project import wait_until
from tests.proof import oracle
from tests.proof.journal import Journal

from .stage import LEDGERS, Stage
from .truth import Truth


@dataclass(frozen=True, kw_only=True)
class Ending:
    """``lost`` counts rows that were committed and are not in what was restored.

    ``wrong`` are reads of rows that are in no ledger now, ``problems`` all else.
    """

    rows: int
    lost: int
    wrong: list[str]
    problems: list[str]


def end(stage: Stage, truths: Mapping[str, Truth]) -> Ending:
    """Have the writers and the daemon end, then verify, restore and judge."""
    stage.stop_writers()
    problems = [*_verify(stage), *_stop_daemon(stage)]
    rows, lost = 0, 0
    wrong: list[str] = []
    for ledger in LEDGERS:
        truth = truths[ledger]
        truth.catch_up()
        journal = Journal.read(stage.journal(ledger))
        database = stage.database(ledger)
        primary = _contents(database)
        rows += len(primary)
        wrong += [
            f"{ledger}: row {row} was read, and is not in the ledger"
            for row in truth.seen_in_vain(primary)
        ]
        problems += _told(f"{ledger}, the primary", oracle.judge(database, journal))
        restored = stage.directory / f"{ledger}-restored.sqlite3"
        completed = stage.manage("litestream", "restore", "-o", str(restored), ledger)
        if completed.returncode != 0:
            problems.append(f"{ledger} is not restored: {completed.stderr.strip()}")
            lost += len(truth.committed())
            continue
        problems += _told(f"{ledger}, restored", oracle.judge(restored, journal))
        found = _contents(restored)
        lost += sum(
            found.get(number) != checksum
            for number, checksum in truth.committed().items()
        )
    return Ending(rows=rows, lost=lost, wrong=wrong, problems=problems)


def _verify(stage: Stage) -> list[str]:
    try:
        wait_until(stage.replicates)
    except AssertionError:
        return ["the daemon does not come back"]
    completed = stage.manage("litestream", "verify", "-timeout", "120")
    if completed.returncode == 0:
        return []
    told = (completed.stdout + completed.stderr).strip()
    return [f"verify ends with {completed.returncode}: {told}"]


def _stop_daemon(stage: Stage) -> list[str]:
    status = stage.daemon.stop()
    return [f"the daemon ends with {status}"] if status else []


def _contents(database: Path) -> dict[int, str]:
    with closing(sqlite3.connect(database)) as connection:
        return dict(connection.execute("SELECT number, checksum FROM ledger"))


def _told(where: str, problems: list[str]) -> list[str]:
    return [f"{where}: {problem}" for problem in problems]
