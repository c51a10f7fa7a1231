"""The course of every fault: write, harm, judge, recover, write on, judge again."""

from __future__ import annotations

from pathlib import Path

from django_litestream.verify_report import Verdict

from .catalogue import Fault
from .world import RECOVERED_TIMEOUT, Outcome, world


def suffer(fault: Fault, directory: Path, seed: int) -> tuple[Outcome, Outcome]:
    """Let a fault happen; return what became of the backup by it and after it."""
    with world(directory, seed, **fault.options) as suffering:
        suffering.start_daemon()
        suffering.write_on()
        suffering.pass_time()
        course = fault.happen(suffering)
        next(course)
        harmed = suffering.outcome()
        try:
            course.send(harmed)
        except StopIteration:
            pass
        else:
            raise AssertionError(f"{fault.name} yields more than once.")
        suffering.write_on()
        suffering.stop_writer()
        recovered = suffering.outcome(RECOVERED_TIMEOUT)
    print(f"{fault.name}: {harmed.verdict.name}, then {recovered.verdict.name}")
    assert recovered.verdict is Verdict.GOOD, recovered
    return harmed, recovered
