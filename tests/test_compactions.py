"""A compaction that comes to a replica after newer commits does not take them back."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from django.db import transaction
from django.db.utils import OperationalError

from django_litestream.db.backends.sqlite_vfs.compactions import newest_compacted

from .replica_world import ReplicaWorld, Worker, count_notes, replica_world

ALIAS = "default_replica"
POLL_INTERVAL = 0.2


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
    while count_notes(ALIAS) < notes:
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


@pytest.mark.parametrize("read", [read_on_outside, read_on_in_atomic])
def test_no_commit_is_taken_back(tmp_path: Path, read: Callable[[], set[int]]) -> None:
    with with_two_commits_to_compact(tmp_path) as (world, worker):
        compact(world.replica_of("default"), leave=1)
        assert worker.call(read) == {3}


def read_where_it_is_compacted_meanwhile(replica: Path) -> None:
    with transaction.atomic(ALIAS):
        compact(replica, leave=1)
        time.sleep(5 * POLL_INTERVAL)
        count_notes(ALIAS)


def test_a_transaction_that_cannot_move_says_so(tmp_path: Path) -> None:
    with with_two_commits_to_compact(tmp_path) as (world, worker):
        replica = world.replica_of("default")
        with pytest.raises(OperationalError, match=r"newer commits: run it again\.$"):
            worker.call(read_where_it_is_compacted_meanwhile, replica)
        worker.call(read_where_it_is_compacted_meanwhile, replica)
        assert worker.call(count_notes, ALIAS) == 3


def test_what_is_compacted_is_looked_at_anew_once_it_changes(tmp_path: Path) -> None:
    url = tmp_path.as_uri()
    assert newest_compacted(url) == 0
    level = tmp_path / "ltx" / "1"
    level.mkdir(parents=True)
    assert newest_compacted(url) == 0
    for first, last in ((1, 9), (10, 255)):
        (level / f"{first:016x}-{last:016x}.ltx").touch()
        (level / f"{last + 1:016x}-{last + 1:016x}.ltx.tmp").touch()
        (level / "else-where.ltx").touch()
        assert newest_compacted(url) == last
        # So that the next is not of the same moment.
        time.sleep(0.05)
    assert newest_compacted("s3://bucket/database") == 0
