"""Disks that the kernel makes read-only, and that lose their power."""

from __future__ import annotations

import signal
import time

from django_litestream.verify_report import Verdict

from ..project import wait_until
from ..proof.journal import Event
from .catalogue import Catalogue, Course
from .world import World

disks = Catalogue()


@disks.fault(disk="project", is_ext4=True)
def database_read_only(world: World) -> Course:
    """An error of the disk makes it read-only under daemon and writer."""
    world.failing_disk.become_read_only()
    wait_until(lambda: "readonly" in world.failures() or "I/O" in world.failures())
    outcome = yield
    assert outcome.verdict is not Verdict.GOOD, outcome
    world.stop_writer()
    world.stop_daemon(signal.SIGKILL)
    world.failing_disk.repair()
    world.start_daemon()


@disks.fault(disk="replica", is_ext4=True)
def replica_read_only_by_an_error(world: World) -> Course:
    """An error of the replica's disk makes it read-only while it is written to."""
    world.failing_disk.become_read_only()
    world.wait_for_more(Event.COMMITTED, 50)
    outcome = yield
    assert outcome.verdict is Verdict.BAD, outcome
    world.stop_daemon()
    world.failing_disk.repair()
    world.start_daemon()


@disks.fault(disk="project", is_ext4=True, s3=True)
def power_lost_at_the_database(world: World) -> Course:
    """The power goes, and with it what was committed and not synced to the disk.

    SQLite's `synchronous=NORMAL`, which goes with WAL mode, syncs no commit: the
    replica may have some that the database does not have any more.
    """
    world.stop_writer()
    world.append_unsynced(world.chance.randrange(1, 100))
    if world.chance.random() < 0.5:
        world.wait_for_sync()
    _lose_power(world)
    world.start_daemon()
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@disks.fault(disk="project", is_ext4=True)
def power_lost_under_a_writer(world: World) -> Course:
    """The power goes while a writer syncs each commit to the same disk."""
    world.wait_for_more(Event.COMMITTED, 20)
    _lose_power(world)
    assert world.gone == 0
    world.start_daemon()
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


@disks.fault(disk="replica", is_ext4=True)
def power_lost_at_the_replica(world: World) -> Course:
    """The power goes where the replica is, and the daemon goes on elsewhere."""
    world.wait_for_more(Event.ACKNOWLEDGED)
    world.failing_disk.lose_power()
    world.stop_writer()
    world.stop_daemon(signal.SIGKILL)
    world.failing_disk.repair()
    world.start_daemon()
    outcome = yield
    world.expect_good_or_begin_anew(outcome)


def _lose_power(world: World) -> None:
    """Lose power, bring the disk back, and know of no more than it has."""
    # Later on a commit may seem to be synced: where there is no power nobody sees it.
    moment = time.time()
    world.failing_disk.lose_power()
    if world.writer is not None:
        world.stop_writer()
    world.stop_daemon(signal.SIGKILL)
    world.failing_disk.repair()
    committed = world.journal.until(moment).newest(Event.COMMITTED)
    kept = world.newest_row()
    world.gone = max(0, committed.number - kept.number)
    world.forget_after(kept)
