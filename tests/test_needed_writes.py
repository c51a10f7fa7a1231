"""A write that a client needs is read from a replica only where no compaction hides it."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

from django.db import connections

from django_litestream.db.backends.sqlite_vfs.compactions import InStorage

from .project import PATIENCE
from .replica_world import count_notes, replica_world
from .s3_server import s3_server
from .test_compactions import ALIAS, read_until_there_are

POLL_INTERVAL = 2.0

_look = InStorage.look


def _forged(replica: Path, leave: int = 0) -> list[Path]:
    """Return what level 1 would hold once all but the last files are compacted.

    What Litestream compacts of a single file is that file.
    """
    files = sorted(replica.glob("0000/*.ltx"))
    return files[: len(files) - leave]


def newest_txid(replica: Path) -> int:
    return int(_forged(replica)[-1].stem.partition("-")[2], 16)


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


def test_a_write_that_a_late_compaction_hides_is_not_missed(tmp_path: Path) -> None:
    """As one whose upload takes long, which comes when none is expected."""
    with (
        replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as world,
        s3_server(world.directory / "s3") as s3,
    ):
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        world.vfs[ALIAS] = {"url": s3.url("notes"), "poll_interval": POLL_INTERVAL}
        world.write_settings()
        replica = world.directory / "s3" / "bucket" / "notes"
        with world.replicating(), world.worker() as worker:
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
