"""What ``just demo`` runs: a backup that is restored, and one that is read.

Each step is the command that a developer would type, in a process of its own.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime

from drill import report
from drill.contents import Contents
from drill.interruptions import Interruptions
from drill.report import Palette
from drill.stage import Stage, StepFailed

_TRANSFERS = 300
_SECONDS_OF_WRITING = 3


@dataclass(kw_only=True)
class Step:
    """Something the demo does; ``detail`` is what came of it."""

    detail: str = ""


@dataclass(frozen=True, kw_only=True)
class Narrator:
    """Prints what happens as it happens."""

    palette: Palette

    def say(self, text: str) -> None:
        print(text, flush=True)

    @contextmanager
    def step(self, name: str) -> Iterator[Step]:
        """Time the block and print a line about it."""
        step, start = Step(), time.monotonic()
        try:
            yield step
        except StepFailed:
            took = time.monotonic() - start
            self.say(report.failed_step(name, took, self.palette))
            raise
        took = time.monotonic() - start
        self.say(report.step(name, took, step.detail, self.palette))

    def compare(self, name: str, before: Contents, **others: Contents) -> None:
        """Print what each holds; raise ``StepFailed`` where one is not as ``before``."""
        self.say(report.comparison({name: before, **others}, self.palette))
        for other, contents in others.items():
            if wrong := report.difference(before, contents):
                raise StepFailed(f"{other}: {wrong}")


def main() -> int:
    if os.name != "posix":
        print("The demo needs Unix signals and sockets: run it on Linux or macOS.")
        return 1
    narrator = Narrator(palette=_palette())
    interruptions = Interruptions()
    try:
        with interruptions.guarding(Stage.set_up(interruptions)) as stage:
            try:
                destroy_and_restore(stage, narrator)
                read_and_look_back(stage, narrator)
            except StepFailed as failed:
                log = stage.log_tail()
                narrator.say(report.failure(str(failed), log, narrator.palette))
                return 1
    except SystemExit:
        narrator.say("\nInterrupted; no process and no file is left.")
        raise
    return 0


def destroy_and_restore(stage: Stage, narrator: Narrator) -> None:
    """Lose a replicated database and get it back.

    Raises ``StepFailed`` where a command fails or a row is not as it was.
    """
    narrator.say(
        report.heading("A database is replicated, lost and restored.", narrator.palette)
    )
    with narrator.step("migrate, seed") as step:
        stage.manage("migrate")
        step.detail = stage.manage("seed")
    with stage.daemon() as daemon:
        with narrator.step("litestream replicate") as step:
            daemon.wait_until_replicating()
            step.detail = "to a directory: a `file` replica"
        with narrator.step(f"record {_TRANSFERS}") as step:
            step.detail = stage.manage(
                "record", str(_TRANSFERS), "--seconds", str(_SECONDS_OF_WRITING)
            )
        with narrator.step("dumpdata") as step:
            before = Contents.of_dump(stage.manage("dumpdata"))
            step.detail = f"{before.total} rows"
        with narrator.step("litestream verify") as step:
            step.detail = stage.manage("litestream", "verify").splitlines()[0]
        with narrator.step("the disaster") as step:
            # A machine that is lost gives the daemon no chance to sync once more.
            daemon.kill()
            lost = ", ".join(stage.destroy_database())
            left = ", ".join(path.name for path in stage.data.iterdir())
            step.detail = f"daemon killed (SIGKILL); deleted {lost}; left: {left}"
    with narrator.step("litestream restore default"):
        stage.manage("litestream", "restore", "default")
    with narrator.step("dumpdata") as step:
        after = Contents.of_dump(stage.manage("dumpdata"))
        step.detail = f"{after.total} rows"
    narrator.compare("before", before, restored=after)
    narrator.say(
        report.success(
            f"All {before.total} rows are back, field by field.",
            "Once a second Litestream copies what was committed, and verify waits for it. "
            "Without verify, the disaster could have cost the last second.",
            narrator.palette,
        )
    )


def read_and_look_back(stage: Stage, narrator: Narrator) -> None:
    """Read the backup as a database, now and as it was before a mistake.

    Raises ``StepFailed`` where a command fails or a row is not as it was.
    """
    narrator.say(
        "\n"
        + report.heading("Its backup is read, now and as it was.", narrator.palette)
    )
    with stage.daemon() as daemon:
        with narrator.step("litestream replicate") as step:
            daemon.wait_until_replicating()
            step.detail = "the restored database, to the same replica"
        with narrator.step("where_reads_go"):
            visits = stage.manage("where_reads_go")
        narrator.say(report.quoted(visits))
        with narrator.step("dumpdata") as step:
            primary = Contents.of_dump(stage.manage("dumpdata"))
            step.detail = f"{primary.total} rows, with the visitor's"
        with narrator.step("dumpdata --database replica") as step:
            replica = Contents.of_dump(
                stage.manage("dumpdata", "--database", "replica")
            )
            step.detail = f"{replica.total} rows, out of the backup"
        moment = datetime.now(UTC)
        with narrator.step("flush") as step:
            stage.manage("flush", "--no-input")
            step.detail = "the mistake: it empties every table"
        with narrator.step("litestream verify") as step:
            stage.manage("litestream", "verify")
            step.detail = "the newest commit can be restored: the mistake"
        with narrator.step("dumpdata --database replica") as step:
            flushed = Contents.of_dump(
                stage.manage("dumpdata", "--database", "replica")
            )
            step.detail = f"{flushed.total} rows, which Django makes anew"
        if flushed.rows["ledger.transfer"]:
            raise StepFailed("The replica does not follow its primary.")
        with narrator.step("look_back") as step:
            past = Contents.of_dump(stage.manage("look_back", moment.isoformat()))
            step.detail = f"{past.total} rows, as of {moment:%H:%M:%S} UTC"
    narrator.compare("primary", primary, replica=replica, look_back=past)
    narrator.say(
        report.success(
            f"All {primary.total} rows were read out of the backup, before and after "
            "their loss.",
            "Litestream keeps each commit by itself for five minutes and then in ever "
            "coarser steps, for a day unless it is told otherwise.",
            narrator.palette,
        )
    )


def _palette() -> Palette:
    coloured = sys.stdout.isatty() and not os.environ.get("NO_COLOR")
    return report.COLOURED if coloured else report.PLAIN


if __name__ == "__main__":
    sys.exit(main())
