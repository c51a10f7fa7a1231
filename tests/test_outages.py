"""The router while a storage is away, and while nothing comes to a replica."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from django_litestream import health
from django_litestream.replicas import Replica
from django_litestream.routing import unit_of_work

from .project import PATIENCE, wait_until
from .replica_app.models import Note
from .replica_world import replica_world
from .router.places import decisions
from .routing_project.site import make_site
from .s3_server import S3Server, s3_server
from .timing import Times, timed

# Less than the age at which a connection is opened anew, which ends its health too.
MAX_LAG = 1.0


@dataclass(frozen=True)
class Outage:
    """What was seen by somebody who reads all the while that a storage goes away."""

    seconds_until_unhealthy: float
    during: Times
    errors: list[str]
    places_during: set[str]
    seconds_until_healthy: float


@dataclass
class Reader:
    """Somebody who reads the same all the while, as in one request after the other."""

    seconds: list[float] = field(default_factory=list)
    read_from: Counter[str] = field(default_factory=Counter)
    errors: list[str] = field(default_factory=list)

    def read(self) -> None:
        with unit_of_work():
            note = Note.objects.order_by("pk")[0]
            self.read_from[str(note._state.db)] += 1


@contextmanager
def reading() -> Iterator[Reader]:
    """Have a thread read for the length of the block."""
    reader = Reader()
    is_over = threading.Event()

    def go_on() -> None:
        while not is_over.wait(0.002):
            try:
                reader.seconds.append(timed(reader.read))
            except Exception as error:
                reader.errors.append(repr(error))

    thread = threading.Thread(target=go_on)
    thread.start()
    try:
        yield reader
    finally:
        is_over.set()
        thread.join()


def live_through_an_outage(s3: S3Server, process: int) -> Outage:
    watcher = health.watcher()
    assert watcher is not None
    wait_until(lambda: set(decisions(Note)) == {"default_replica"})
    with reading() as reader:
        # So that its pages are cached: others are waited for until the age of the last
        # poll tells that the storage may be away.
        wait_until(lambda: reader.read_from["default_replica"] > 10)
        reader.seconds.clear()
        os.kill(process, signal.SIGKILL)
        begun = time.monotonic()
        wait_until(lambda: not watcher.healthy("default"))
        until_unhealthy = time.monotonic() - begun
        reader.read_from.clear()
        wait_until(lambda: reader.read_from.total() > 100)
        places_during = set(reader.read_from) | set(decisions(Note))
        with unit_of_work():
            note = Note.objects.create(source="during", written_at=0)
        s3.start()
        begun = time.monotonic()
        wait_until(lambda: set(decisions(Note)) == {"default_replica"})
        until_healthy = time.monotonic() - begun
    wait_until(
        lambda: Note.objects.using("default_replica").filter(pk=note.pk).exists()
    )
    s3.stop()
    return Outage(
        seconds_until_unhealthy=until_unhealthy,
        during=Times.of(reader.seconds),
        errors=reader.errors,
        places_during=places_during,
        seconds_until_healthy=until_healthy,
    )


def test_a_storage_that_goes_away_and_comes_back(tmp_path: Path) -> None:
    with (
        s3_server(tmp_path / "s3") as s3,
        replica_world(tmp_path / "project") as world,
    ):
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        world.vfs["default_replica"] = {
            "url": s3.url("notes"),
            "poll_interval": "200ms",
            "max_lag_seconds": MAX_LAG,
            "open_timeout": 5,
        }
        make_site(world)
        world.write_note(count=100)
        assert s3._process is not None
        with world.replicating(), world.worker() as worker:
            again = S3Server(s3.directory, port=s3.port)
            worker.begin(live_through_an_outage, again, s3._process.pid)
            outage = worker.result(2 * PATIENCE)

    print(
        f"Not healthy {outage.seconds_until_unhealthy:.1f} s after the storage went away "
        f"and again {outage.seconds_until_healthy:.1f} s after it came back; meanwhile "
        f"a read took {outage.during.median * 1e3:.2f} ms, "
        f"{outage.during.longest * 1e3:.0f} ms at most."
    )
    assert outage.errors == []
    assert outage.places_during == {"default"}
    assert outage.seconds_until_unhealthy < Replica(alias="", url="").reopen_after
    outage.during.assert_unnoticeable()


def live_with_a_replica_that_stands_still() -> tuple[set[str], set[str]]:
    """Return where was read before the daemon had what it does not upload, and after."""
    watcher = health.watcher()
    assert watcher is not None
    wait_until(lambda: set(decisions(Note)) == {"default_replica"})
    before = set(decisions(Note))
    with unit_of_work():
        Note.objects.create(source="not uploaded", written_at=0)
    wait_until(lambda: not watcher.healthy("default"))
    return before, set(decisions(Note))


def test_a_replica_that_is_polled_and_stands_still_is_not_read(tmp_path: Path) -> None:
    with replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as world:
        make_site(world)
        world.vfs["default_replica"]["max_lag_seconds"] = 2
        world.litestream["dbs"][0]["replica"]["sync-interval"] = "1h"
        world.write_settings()
        with world.replicating(), world.worker() as worker:
            before, after = worker.call(live_with_a_replica_that_stands_still)
    assert (before, after) == ({"default_replica"}, {"default"})
