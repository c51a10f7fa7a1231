"""A replica is not read from while its primary's daemon cuts nothing, and after again.

What the daemon has cut stands still with the replica then, so that the one lacks nothing
of the other's.
"""

from __future__ import annotations

import shutil
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import router

from django_litestream import get_vfs_status, health
from django_litestream.control import Daemon

from .project import PATIENCE, wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, replica_world, wait_for_notes
from .routing_project.site import make_site

REPLICA = "default_replica"
MAX_LAG = 4.0


@pytest.fixture
def world(tmp_path: Path) -> Generator[ReplicaWorld]:
    # A compaction may have a replica's place taken by its primary for a moment.
    seldom = [{"interval": "1h"}]
    with replica_world(tmp_path / "project", levels=seldom) as made:
        made.vfs[REPLICA]["max_lag_seconds"] = MAX_LAG
        make_site(made)
        made.write_note()
        yield made


def wait_until_read() -> None:
    wait_until(lambda: router.db_for_read(Note) == REPLICA)


def wait_until_refused() -> None:
    """Wait until the replica is not healthy, nor was for some time."""
    watcher = health.watcher()
    assert watcher is not None
    refused_at = time.monotonic()

    def is_refused() -> bool:
        nonlocal refused_at
        if watcher.healthy("default"):
            refused_at = time.monotonic()
        return time.monotonic() - refused_at > 2

    wait_until(is_refused)
    assert router.db_for_read(Note) == "default"


def places_until_refused() -> set[str]:
    """Return where a new process reads from until it has logged why."""
    places = set()

    def has_logged() -> bool:
        places.add(router.db_for_read(Note))
        watcher = health.watcher()
        assert watcher is not None
        return bool(watcher._said)

    wait_until(has_logged)
    return places


def places_for(seconds: float) -> set[str]:
    """Return where is read from, once it is the replica."""
    wait_until_read()
    places = set()
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        places.add(router.db_for_read(Note))
        time.sleep(0.02)
    return places


def status_of_replica() -> tuple[int | None, str, str]:
    status = get_vfs_status(REPLICA)
    return status["behind"], status["status"], status["reason"]


type Fault = Callable[[ReplicaWorld, subprocess.Popen[bytes]], Generator[None]]


def stopped(world: ReplicaWorld, daemon: subprocess.Popen[bytes]) -> Generator[None]:
    with closing(sqlite3.connect(world.database)) as connection:
        # As a site's: without any the WAL is begun anew, and `start` refused.
        connection.execute("SELECT count(*) FROM replica_app_note").fetchall()
        assert world.run("stop", "default").returncode == 0
        yield
        started = world.run("start", "default")
        assert started.returncode == 0, started.stderr
        yield


def stuck(world: ReplicaWorld, daemon: subprocess.Popen[bytes]) -> Generator[None]:
    # A directory has the name that the next transaction is to be written under.
    txid = f"{Daemon(world.socket).txid(world.database) + 1:016x}"
    metadata = world.database.with_name(f".{world.database.name}-litestream")
    in_the_way = metadata / "ltx" / "0" / f"{txid}-{txid}.ltx.tmp"
    in_the_way.mkdir()
    yield
    in_the_way.rmdir()
    yield


def frozen(world: ReplicaWorld, daemon: subprocess.Popen[bytes]) -> Generator[None]:
    daemon.send_signal(signal.SIGSTOP)
    yield
    daemon.send_signal(signal.SIGCONT)
    yield


def killed(world: ReplicaWorld, daemon: subprocess.Popen[bytes]) -> Generator[None]:
    daemon.kill()
    daemon.wait(PATIENCE)
    yield
    with world.replicating():
        yield


REASONS: dict[Fault, str] = {
    stopped: "The daemon has stopped replicating",
    stuck: "The daemon cannot cut the WAL of",
    frozen: "gave no answer within",
    killed: "No daemon answers on",
}


@pytest.mark.parametrize(
    "fault",
    [
        stopped,
        stuck,
        pytest.param(frozen, marks=pytest.mark.prove),
        pytest.param(killed, marks=pytest.mark.prove),
    ],
    ids=lambda fault: fault.__name__,
)
def test_a_daemon_that_cuts_nothing_is_noticed(
    world: ReplicaWorld, fault: Fault
) -> None:
    reason = REASONS[fault]
    with world.replicating() as daemon, world.worker() as worker:
        worker.call(wait_for_notes, REPLICA, 1)
        worker.call(wait_until_read)
        course = fault(world, daemon)
        next(course)
        world.write_note()

        worker.call(wait_until_refused)
        assert world.worker_log().count(reason) == 1
        assert f"'{REPLICA}' is not read from: " in world.worker_log()
        behind, status, told = worker.call(status_of_replica)
        assert (behind, status != "Healthy") == (None, True)
        assert reason in told
        shown = world.run("vfs-status")
        assert shown.returncode == 1
        assert f"{REPLICA}: Healthy" not in shown.stdout
        assert "behind       unknown" in shown.stdout
        assert reason in shown.stdout

        with world.worker() as new:
            assert new.call(places_until_refused) == {"default"}

        next(course)
        worker.call(wait_until_read)
        worker.call(wait_for_notes, REPLICA, 2)
        wait_until(lambda: world.run("vfs-status").returncode == 0)
        course.close()


def leave_a_phantom(world: ReplicaWorld, copy: Path) -> None:
    """Write to the WAL as a process does that is killed within its commit.

    SQLite shows nothing of it, and writes the next commit over its beginning.
    """
    for side in ("", "-wal"):
        shutil.copyfile(f"{world.database}{side}", f"{copy}{side}")
    with closing(sqlite3.connect(copy)) as connection:
        connection.execute("PRAGMA wal_autocheckpoint=0")
        with connection:
            connection.execute(
                "INSERT INTO replica_app_note (source, written_at) VALUES (?, 0)",
                ["phantom" * 20_000],
            )
        written = Path(f"{copy}-wal").read_bytes()
    with Path(f"{world.database}-wal").open("r+b") as file:
        file.write(written)


def test_a_daemon_that_passes_over_commits_is_noticed(
    world: ReplicaWorld, tmp_path: Path
) -> None:
    with (
        world.replicating(),
        closing(sqlite3.connect(world.database)) as connection,
        world.worker() as worker,
    ):
        # Without anybody who has it open there would be no WAL to write to.
        connection.execute("SELECT count(*) FROM replica_app_note").fetchall()
        worker.call(wait_for_notes, REPLICA, 1)
        world.wait_until_replicated()
        before = Daemon(world.socket).txid(world.database)
        leave_a_phantom(world, tmp_path / "copy.sqlite3")
        wait_until(lambda: Daemon(world.socket).txid(world.database) > before)
        worker.call(wait_until_read)
        world.write_note()

        worker.call(wait_until_refused)
        assert "has cut nothing of what was written" in world.worker_log()
        assert Daemon(world.socket).last_cut(world.database).error == ""


def test_a_new_process_does_not_read_what_has_stood_still_before_it(
    world: ReplicaWorld,
) -> None:
    leave_alone(world)
    world.litestream["dbs"][0]["replica"]["sync-interval"] = "1h"
    world.write_settings()
    with world.replicating():

        def stands_still() -> bool:
            has = world.newest_in_replica()
            for _ in range(4):
                world.write_note()
                time.sleep(1)
            return world.newest_in_replica() == has

        # What comes first may be uploaded at once.
        wait_until(stands_still)
        has = world.newest_in_replica()
        for _ in range(2):
            with world.worker() as new:
                assert new.call(places_until_refused) == {"default"}
        assert world.newest_in_replica() == has
    assert "has had for more than" in world.worker_log()


def leave_alone(world: ReplicaWorld) -> None:
    """Have the replica hold all there is, and no daemon run."""
    with world.replicating():
        world.wait_until_replicated()


def is_read_from_on(world: ReplicaWorld) -> bool:
    with world.worker() as worker:
        places: set[str] = worker.call(places_for, MAX_LAG + 2)
    return places == {REPLICA}


def is_healthy(world: ReplicaWorld) -> bool:
    shown = world.run("vfs-status")
    nobody = "unknown: no daemon of the primary answers here" in shown.stdout
    return nobody and shown.returncode == 0


def test_where_the_primary_is_elsewhere_the_age_of_the_poll_counts(
    world: ReplicaWorld, tmp_path: Path
) -> None:
    leave_alone(world)
    elsewhere = replace(world, directory=tmp_path / "elsewhere")

    assert is_read_from_on(elsewhere)
    assert is_healthy(elsewhere)
    # As Django leaves it where it has looked for a table.
    elsewhere.database.touch()
    assert is_healthy(elsewhere)


@pytest.mark.prove
def test_where_there_is_no_socket_the_age_of_the_poll_counts(
    world: ReplicaWorld,
) -> None:
    leave_alone(world)
    world.litestream["socket"] = {"enabled": False}
    world.write_settings()

    assert is_read_from_on(world)
    assert is_healthy(world)


@pytest.mark.prove
def test_a_replica_that_may_lag_for_ever_is_read_from_without_a_daemon(
    world: ReplicaWorld,
) -> None:
    leave_alone(world)
    world.vfs[REPLICA]["max_lag_seconds"] = None
    world.write_settings()

    assert is_read_from_on(world)
    assert not is_healthy(world)
