"""A compaction that comes to a replica after newer commits does not take them back."""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.utils import OperationalError
from django.test import override_settings

from django_litestream.db.backends.sqlite_vfs.compactions import (
    InStorage,
    compactions,
)

from .project import wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, Worker, count_notes, replica_world
from .s3_server import s3_server

ALIAS = "default_replica"
POLL_INTERVAL = 0.2

# The transactions of a replica before it is begun anew, with fewer.
OLD_LIFE = 12


def compact(replica: Path, *, leave: int = 0) -> None:
    """Have level 1 hold what level 0 holds, but for its last files.

    What Litestream compacts of a single file is that file. It does so by the clock,
    which here is an hour away.
    """
    level = replica / "ltx" / "1"
    level.mkdir(exist_ok=True)
    files = sorted(replica.glob("ltx/0/*.ltx"))
    for file in files[: len(files) - leave]:
        if not (level / file.name).exists():
            shutil.copy(file, level / "coming")
            (level / "coming").rename(level / file.name)


@contextmanager
def with_two_commits_to_compact(
    directory: Path,
) -> Iterator[tuple[ReplicaWorld, Worker]]:
    """Give a process that has read three notes, of which level 1 has the first."""
    with (
        replica_world(directory / "project", levels=[{"interval": "1h"}]) as world,
        world.replicating(),
        world.worker() as worker,
    ):
        for notes in (1, 2, 3):
            world.write_note()
            world.wait_until_replicated()
            if notes == 1:
                compact(world.replica_of("default"))
            worker.call(read_until_there_are, notes)
        yield world, worker


def read_until_there_are(notes: int) -> None:
    deadline = time.monotonic() + 60
    while count_notes(ALIAS) != notes:
        assert time.monotonic() < deadline
        time.sleep(0.02)


def read_on(*, in_atomic: bool) -> set[int]:
    """Return how many notes there were, whenever one looked, for ten polls."""
    deadline = time.monotonic() + 10 * POLL_INTERVAL
    found = set()
    while time.monotonic() < deadline:
        if in_atomic:
            with transaction.atomic(ALIAS):
                found.add(count_notes(ALIAS))
        else:
            found.add(count_notes(ALIAS))
        time.sleep(0.01)
    return found


def read_on_in_atomic() -> set[int]:
    return read_on(in_atomic=True)


def read_on_outside() -> set[int]:
    return read_on(in_atomic=False)


def read_on_without_autocommit() -> set[int]:
    transaction.set_autocommit(False, using=ALIAS)
    found = read_on_outside()
    assert not transaction.get_autocommit(ALIAS)
    transaction.commit(ALIAS)
    return found | read_on_outside()


@pytest.mark.parametrize(
    "read", [read_on_outside, read_on_in_atomic, read_on_without_autocommit]
)
def test_no_commit_is_taken_back(tmp_path: Path, read: Callable[[], set[int]]) -> None:
    with with_two_commits_to_compact(tmp_path) as (world, worker):
        compact(world.replica_of("default"), leave=1)
        assert worker.call(read) == {3}


def test_a_replica_that_is_begun_anew_is_read_anew(tmp_path: Path) -> None:
    """Its transactions have numbers that the old one had, too."""
    with (
        replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as world,
        world.worker() as worker,
    ):
        with world.replicating():
            for _ in range(OLD_LIFE):
                world.write_note()
                world.wait_until_replicated()
            compact(world.replica_of("default"))
            worker.call(read_until_there_are, OLD_LIFE)
        assert world.run("reset", "default").returncode == 0
        shutil.rmtree(world.replica_of("default"))
        with closing(sqlite3.connect(world.database)) as connection, connection:
            connection.execute("DELETE FROM replica_app_note WHERE id > 2")
        with world.replicating():
            world.wait_until_replicated()
            assert world.newest_in_replica() < OLD_LIFE
            worker.call(read_until_there_are, 2)


def read_where_it_is_compacted_meanwhile(replica: Path) -> None:
    with transaction.atomic(ALIAS):
        compact(replica, leave=1)
        time.sleep(5 * POLL_INTERVAL)
        count_notes(ALIAS)


def read_where_it_is_compacted_before_begin(replica: Path) -> None:
    """Have it compacted after the backend has looked, and before SQLite begins."""

    def compact_before(execute: Callable[..., Any], sql: str, *rest: Any) -> Any:
        if sql == "BEGIN":
            compact(replica, leave=1)
        return execute(sql, *rest)

    with connections[ALIAS].execute_wrapper(compact_before), transaction.atomic(ALIAS):
        count_notes(ALIAS)


@pytest.mark.parametrize(
    "read",
    [read_where_it_is_compacted_meanwhile, read_where_it_is_compacted_before_begin],
)
def test_a_transaction_that_cannot_move_says_so(
    tmp_path: Path, read: Callable[[Path], None]
) -> None:
    with with_two_commits_to_compact(tmp_path) as (world, worker):
        replica = world.replica_of("default")
        with pytest.raises(OperationalError, match=r"newer commits: run it again\.$"):
            worker.call(read, replica)
        worker.call(read, replica)
        assert worker.call(count_notes, ALIAS) == 3


def test_what_is_compacted_is_looked_at_anew_once_it_changes(tmp_path: Path) -> None:
    there = compactions(tmp_path.as_uri())
    assert there.newest == 0
    level = tmp_path / "ltx" / "1"
    level.mkdir(parents=True)
    assert there.newest == 0
    for first, last in ((1, 9), (10, 255)):
        (level / f"{first:016x}-{last:016x}.ltx").touch()
        (level / f"{last + 1:016x}-{last + 1:016x}.ltx.tmp").touch()
        (level / "else-where.ltx").touch()
        assert there.newest == last


def test_what_comes_in_the_same_tick_of_a_coarse_clock_is_seen(tmp_path: Path) -> None:
    there = compactions(tmp_path.as_uri())
    level = tmp_path / "ltx" / "1"
    level.mkdir(parents=True)
    tick = time.time_ns()
    for txid in (1, 2, 3):
        os.utime(level, ns=(tick, tick))
        assert there.newest == txid - 1
        (level / f"{txid:016x}-{txid:016x}.ltx").touch()
    os.utime(level, ns=(tick, tick))
    assert there.newest == 3


def test_what_is_not_changed_is_not_listed_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    there = compactions(tmp_path.as_uri())
    level = tmp_path / "ltx" / "1"
    level.mkdir(parents=True)
    long_ago = time.time_ns() - 60 * 10**9
    os.utime(level, ns=(long_ago, long_ago))
    assert there.newest == 0
    monkeypatch.setattr(os, "listdir", None)
    assert there.newest == 0


@pytest.mark.parametrize(
    ("written", "name"), [("a b", "a%20b"), ("a%20b", "a%20b"), ("ü", "%C3%BC")]
)
def test_what_is_compacted_is_looked_for_where_litestream_reads(
    tmp_path: Path, written: str, name: str
) -> None:
    level = tmp_path / name / "ltx" / "1"
    level.mkdir(parents=True)
    (level / f"{1:016x}-{9:016x}.ltx").touch()
    assert compactions(f"file://{tmp_path}/{written}").newest == 9


def compact_in_storage(world: ReplicaWorld, seconds: int) -> Callable[[], int]:
    """Have the daemon compact to S3; return what tells the newest transaction there."""
    world.litestream["levels"] = [{"interval": f"{seconds}s"}]
    replica = world.directory / "s3" / "bucket" / "notes"
    return lambda: max(
        (int(file.stem.partition("-")[2], 16) for file in replica.glob("0001/*.ltx")),
        default=0,
    )


def test_what_is_compacted_in_a_storage_is_listed_while_one_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        replica_world(tmp_path / "project") as world,
        s3_server(world.directory / "s3") as s3,
    ):
        for name, value in s3.environ.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(
            "django_litestream.vfs.listing.initial_environment", lambda: None
        )
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        compacted = compact_in_storage(world, seconds=1)
        world.write_settings()
        there = InStorage(s3.url("notes"))
        assert (there.newest, there.age) == (0, float("inf"))
        with world.replicating():
            for _ in range(2):
                before = compacted()
                world.write_note()
                wait_until(lambda before=before: compacted() > before)
                wait_until(lambda: there.newest == compacted())
                assert there.age < 60


@pytest.mark.parametrize(
    ("levels", "expected"),
    [
        (None, [*range(600, 625), *range(895, 900)]),
        (
            [{"interval": "10s"}, {"interval": "5m"}],
            [
                *range(600, 625),
                *range(695, 725),
                *range(795, 825),
                *range(895, 900),
            ],
        ),
        # Go counts multiples from the year 1 on, so that the second 66 is one and not 63.
        ([{"interval": "21s"}], [*range(655, 685), *range(865, 895)]),
        ([{"interval": "soon"}], [*range(600, 625), *range(895, 900)]),
        ([{}], [*range(600, 625), *range(895, 900)]),
        ([], [*range(600, 625), *range(895, 900)]),
    ],
)
def test_a_compaction_is_expected_around_the_time_of_the_next(
    monkeypatch: pytest.MonkeyPatch, levels: Any, expected: list[int]
) -> None:
    there = InStorage("s3://bucket/database")
    found = []
    with override_settings(LITESTREAM={"levels": levels} if levels else {}):
        for tenths in range(600, 900):
            monkeypatch.setattr(time, "time", lambda now=tenths / 10: now)
            if there.is_expected(1.0):
                found.append(tenths)
    assert found == expected


def longest_wrong_for(seconds: float) -> float:
    """Return for how long on end the replica lacked a note from among those it has."""
    ends = time.monotonic() + seconds
    longest, began = 0.0, None
    while (now := time.monotonic()) < ends:
        numbers = list(Note.objects.using(ALIAS).values_list("pk", flat=True))
        if numbers == list(range(1, len(numbers) + 1)):
            began = None
        else:
            began = began or now
            longest = max(longest, now - began)
        time.sleep(0.05)
    return longest


@pytest.mark.prove
def test_what_a_compaction_in_a_storage_hides_is_soon_there_again(
    tmp_path: Path,
) -> None:
    """Without a connection in its place it would be hidden until the next one."""
    with (
        replica_world(tmp_path / "project") as world,
        s3_server(world.directory / "s3") as s3,
    ):
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        world.vfs["default_replica"]["url"] = s3.url("notes")
        compact_in_storage(world, seconds=20)
        world.write_settings()
        with (
            world.replicating(),
            world.writing(),
            world.worker() as worker,
        ):
            assert worker.call(longest_wrong_for, 45.0) < 8.0
