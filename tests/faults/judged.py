"""The course of every fault: write, harm, judge, recover, write on, judge again."""

from __future__ import annotations

from pathlib import Path

from django_litestream.verify_report import Verdict

from .catalogue import Fault
from .outcome import Outcome
from .record import recorded
from .world import RECOVERED_TIMEOUT, World, world


def suffer(fault: Fault, directory: Path, seed: int) -> tuple[Outcome, Outcome]:
    """Let a fault happen; return what became of the backup by it and after it."""
    with (
        world(directory, seed, **fault.options) as suffering,
        recorded(fault.name, seed, suffering),
    ):
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
        recovered = write_on_and_judge(suffering)
    print(f"{fault.name}: {harmed.verdict.name}, then {recovered.verdict.name}")
    assert recovered.verdict is Verdict.GOOD, recovered
    return harmed, recovered


def write_on_and_judge(world: World) -> Outcome:
    """Return what becomes of a backup that should be a good one again."""
    if world.may_have_a_phantom:
        # Litestream may replicate what a killed writer did not commit, and lose what
        # came after it: see `phantom` in process_faults.
        outcome = world.outcome(RECOVERED_TIMEOUT)
        if outcome.verdict is not Verdict.GOOD:
            print(f"A phantom was replicated: {outcome}")
            world.checkpoint_between_daemons()
    world.write_on()
    world.stop_writer()
    return world.outcome(RECOVERED_TIMEOUT)
