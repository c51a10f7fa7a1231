"""Processes that end, and networks that are cut."""

from __future__ import annotations

import signal
import threading

from django_litestream.verify_report import Verdict

from ..project import stop, wait_until
from ..proof.journal import Event
from .catalogue import Catalogue, Course
from .world import World

processes = Catalogue()
storages = Catalogue()

# Litestream's own, or as short as it takes for the outage to be longer.
_SHORT_RETENTION = {
    "levels": [{"interval": "500ms"}, {"interval": "1s"}],
    "l0-retention": "1s",
    "l0-retention-check-interval": "200ms",
}


@processes.fault()
def daemon_killed(world: World) -> Course:
    """SIGKILL ends the daemon."""
    world.stop_daemon(signal.SIGKILL)
    yield
    world.start_daemon()


@processes.fault()
def daemon_terminated(world: World) -> Course:
    """SIGTERM ends the daemon."""
    world.stop_daemon(signal.SIGTERM)
    yield
    world.start_daemon()


@processes.fault()
def daemon_killed_again_and_again(world: World) -> Course:
    """SIGKILL ends the daemon soon after each start."""
    for _ in range(4):
        world.stop_daemon(signal.SIGKILL)
        world.start_daemon()
        world.pass_time(0.7)
    yield


@processes.fault()
def writer_killed(world: World) -> Course:
    """SIGKILL ends the writer."""
    world.stop_writer(signal.SIGKILL)
    yield


@processes.fault()
def writer_terminated(world: World) -> Course:
    """SIGTERM ends the writer, the last who has the database open but the daemon."""
    world.stop_writer(signal.SIGTERM)
    yield


@processes.fault()
def phantom(world: World) -> Course:
    """SIGKILL ends the writer between its write to the WAL and to the wal-index.

    SQLite never shows that commit, and writes the next one over it. Litestream reads
    the WAL and not the wal-index: it replicates what was never committed, and nothing
    of what comes after it. Neither a restart nor `litestream reset` helps as long as
    the WAL is what it is; a checkpoint between two daemons does. The writer is ended
    before, and what it would have left is made: where it is killed at random that
    happens once in some twenty times.
    """
    world.stop_writer()
    world.wait_for_sync()
    replicated = world.newest_in_replica()
    world.leave_a_phantom()
    wait_until(lambda: world.newest_in_replica() > replicated)
    outcome = yield
    assert outcome.verdict is Verdict.BAD, outcome
    world.checkpoint_between_daemons()


@processes.fault()
def phantom_among_free_pages(world: World) -> Course:
    """SIGKILL ends the writer within its commit, where the database need not grow.

    Then Litestream notices nothing and goes on: the commits that came over the frames
    that it had read are missing from the middle of the backup, or an index of it has
    other entries than its table, and no line of the log says so.
    """
    world.execute(
        "CREATE TABLE filler AS WITH RECURSIVE one (number) AS"
        " (SELECT 1 UNION ALL SELECT number + 1 FROM one WHERE number < 3000)"
        " SELECT number, hex(randomblob(1000)) AS text FROM one",
        "DELETE FROM filler WHERE number > 1000",
        "PRAGMA wal_checkpoint(PASSIVE)",
    )
    world.write_on()
    world.stop_writer()
    world.wait_for_sync()
    replicated = world.newest_in_replica()
    world.leave_a_phantom()
    wait_until(lambda: world.newest_in_replica() > replicated)
    for number in range(world.chance.randrange(1, 6)):
        world.execute(f"INSERT INTO filler VALUES ({number}, 'not seen')")
        world.pass_time(0.5)
    world.start_writer()
    world.wait_for_more(Event.COMMITTED, 30)
    yield
    world.stop_writer()
    world.checkpoint_between_daemons()
    world.begin_anew()


@processes.fault()
def daemon_and_writer_killed(world: World) -> Course:
    """SIGKILL ends both, in either order."""
    for end in world.chance.sample([world.stop_daemon, world.stop_writer], 2):
        end(signal.SIGKILL)
    yield
    world.start_daemon()


@processes.fault()
def writes_without_a_daemon(world: World) -> Course:
    """The daemon ends, and the writer goes on, ends and checkpoints without it."""
    world.stop_daemon(world.chance.choice([signal.SIGTERM, signal.SIGKILL]))
    world.wait_for_more(Event.COMMITTED, 20)
    world.stop_writer(signal.SIGTERM)
    world.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    yield
    world.start_daemon()


@storages.fault(s3=True)
def power_cut(world: World) -> Course:
    """SIGKILL ends daemon, writer and storage server at once."""
    ends = [world.stop_daemon, world.stop_writer]
    for end in world.chance.sample(ends, 2):
        end(signal.SIGKILL)
    world.server.kill()
    world.server.start()
    yield
    world.start_daemon()


@storages.fault(s3=True)
def storage_killed(world: World) -> Course:
    """SIGKILL ends the storage server, which comes back soon."""
    world.server.kill()
    world.wait_for_more(Event.COMMITTED, 20)
    world.pass_time(2)
    world.server.start()
    yield


@storages.fault(s3=True)
def storage_terminated(world: World) -> Course:
    """SIGTERM ends the storage server, which comes back soon."""
    world.server.stop()
    world.wait_for_more(Event.COMMITTED, 20)
    world.pass_time(2)
    world.server.start()
    yield


@storages.fault(s3=True, settings=_SHORT_RETENTION)
def storage_away_for_longer_than_files_are_kept(world: World) -> Course:
    """The server is away for several times the retention of local files."""
    world.server.kill()
    world.pass_time(2)
    world.wait_for_more(Event.COMMITTED, 200)
    world.pass_time(4)
    world.server.start()
    yield


@storages.fault(s3=True, settings=_SHORT_RETENTION)
def daemon_restarted_while_storage_is_away(world: World) -> Course:
    """SIGKILL ends server and daemon; the daemon starts while there is no server."""
    world.server.kill()
    world.wait_for_more(Event.COMMITTED, 20)
    world.stop_daemon(signal.SIGKILL)
    back = threading.Timer(world.chance.uniform(0, 4), world.server.start)
    back.start()
    try:
        # It is waited for until it has synced once.
        world.start_daemon()
    finally:
        back.join()
    yield


@storages.fault(s3=True)
def partition_that_heals(world: World) -> Course:
    """Nothing goes between daemon and storage for a while, and nobody is told."""
    world.network.cut()
    world.wait_for_more(Event.COMMITTED, 50)
    world.pass_time(3)
    world.network.heal()
    yield


@storages.fault(s3=True)
def daemon_killed_in_a_partition(world: World) -> Course:
    """SIGKILL ends a daemon whose requests are under way."""
    world.network.cut()
    world.wait_for_more(Event.COMMITTED, 20)
    assert world.daemon is not None
    stop(world.daemon, signal.SIGKILL)
    world.network.heal()
    world.stop_daemon()
    yield
    world.start_daemon()
