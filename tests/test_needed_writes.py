"""A write that a client needs is read from a replica only where no compaction hides it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.db import connections

from django_litestream.db.backends.sqlite_vfs.base import put_back_connections
from django_litestream.db.backends.sqlite_vfs.compactions import InStorage

from .project import PATIENCE
from .replica_world import ReplicaWorld, count_notes, replica_world
from .s3_server import S3Server, s3_server
from .test_compactions import ALIAS, read_until_there_are

POLL_INTERVAL = 2.0

_look = InStorage.look


def _forged(replica: Path, leave: int = 0) -> list[Path]:
    """Return what level 1 would hold once all but the last files are compacted.

    What Litestream compacts of a single file is that file.
    """
    files = sorted(replica.glob("0000/*.ltx"))
    return files[: len(files) - leave]


def newest_txid(replica: Path, level: str = "0000") -> int:
    names = (path.stem for path in replica.glob(f"{level}/*.ltx"))
    return max((int(name.partition("-")[2], 16) for name in names), default=0)


def list_no_more() -> None:
    InStorage.look = lambda self: None  # type: ignore[method-assign]


def list_again() -> None:
    InStorage.look = _look  # type: ignore[method-assign]


def counted_where_ready(txid: int, seconds: float) -> set[int]:
    """Return what was counted whenever the replica was said to have ``txid``."""
    wrapper: Any = connections[ALIAS]
    found = set()
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if wrapper.is_ready(txid):
            found.add(count_notes(ALIAS))
        time.sleep(0.02)
    return found


def counted_once_ready(txid: int) -> set[int]:
    deadline = time.monotonic() + PATIENCE
    while not (found := counted_where_ready(txid, POLL_INTERVAL)):
        assert time.monotonic() < deadline
    return found


def counted_by_requests(txid: int) -> int:
    """Return what is counted by the first request of some that finds it ready."""
    deadline = time.monotonic() + PATIENCE
    while True:
        wrapper: Any = connections[ALIAS]
        if wrapper.is_ready(txid):
            return count_notes(ALIAS)
        assert time.monotonic() < deadline
        # As at the end of each.
        put_back_connections()
        time.sleep(0.1)


@contextmanager
def replicated_to_s3(directory: Path) -> Iterator[tuple[ReplicaWorld, S3Server]]:
    """Give a world and its storage, with no compaction before an hour is over."""
    with (
        replica_world(directory / "project", levels=[{"interval": "1h"}]) as world,
        s3_server(world.directory / "s3") as s3,
    ):
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        world.vfs[ALIAS] = {"url": s3.url("notes"), "poll_interval": POLL_INTERVAL}
        world.write_settings()
        with world.replicating():
            yield world, s3


def test_a_write_is_read_from_a_replica_before_it_is_compacted(tmp_path: Path) -> None:
    """No request takes as long as it takes to be sure that it is there."""
    with replicated_to_s3(tmp_path) as (world, s3), world.worker() as worker:
        replica = s3.directory / "bucket" / "notes"
        for notes in (1, 2):
            world.write_note()
            worker.call(read_until_there_are, notes)
        newest = newest_txid(replica)
        assert worker.call(counted_by_requests, newest) == 2
        # A daemon compacts as it starts, too.
        assert newest_txid(replica, "0001") < newest


def test_a_write_that_a_late_compaction_hides_is_not_missed(tmp_path: Path) -> None:
    """As one whose upload takes long, which comes when none is expected."""
    with replicated_to_s3(tmp_path) as (world, s3), world.worker() as worker:
        replica = s3.directory / "bucket" / "notes"
        for notes in (1, 2, 3):
            world.write_note()
            if notes == 1:
                worker.call(read_until_there_are, notes)
                s3.upload(_forged(replica), "notes/0001")
            worker.call(read_until_there_are, notes)
        assert worker.call(counted_once_ready, newest_txid(replica)) == {3}
        worker.call(list_no_more)
        s3.upload(_forged(replica, leave=1), "notes/0001")
        worker.call(read_until_there_are, 2)
        hidden = worker.call(
            counted_where_ready, newest_txid(replica), 2 * POLL_INTERVAL
        )
        worker.call(list_again)
        seen = worker.call(counted_once_ready, newest_txid(replica))
    assert (hidden, seen) == (set(), {3})
