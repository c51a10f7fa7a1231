"""Nothing older than ``max_lag_seconds`` is read from an alias that one names."""

from __future__ import annotations

import threading
import time
from pathlib import Path
from typing import Any

from django.db import connections
from django.db.utils import OperationalError

from .project import PATIENCE
from .replica_app.models import Note
from .replica_world import count_notes, replica_world, wait_for_notes
from .s3_server import s3_server

ALIAS = "default_replica"
MAX_LAG = 1.0


def ages_until_refused() -> tuple[list[float], str]:
    """Return how old the last poll was after each read, and the error that came."""
    wrapper: Any = connections[ALIAS]
    ages: list[float] = []
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        try:
            count_notes(ALIAS)
        except OperationalError as error:
            return ages, str(error)
        ages.append(wrapper.snapshots.poll_age())
        time.sleep(0.05)
    return ages, ""


def test_no_read_is_older_than_it_may_be(tmp_path: Path) -> None:
    with (
        replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as world,
        s3_server(world.directory / "s3") as s3,
    ):
        world.environ |= s3.environ
        world.litestream["dbs"][0]["replica"] = s3.replica("notes")
        world.vfs[ALIAS] = {
            "url": s3.url("notes"),
            "poll_interval": "200ms",
            "max_lag_seconds": MAX_LAG,
            "open_timeout": 2,
        }
        world.write_settings()
        world.write_note()
        with world.replicating(), world.worker() as worker:
            worker.call(wait_for_notes, ALIAS, 1)
            # Which may take longer than the first reads may be old.
            stopping = threading.Thread(target=s3.stop)
            stopping.start()
            ages, error = worker.call(ages_until_refused)
            stopping.join()
    assert f"more than its max_lag_seconds of {MAX_LAG:g} s" in error
    # Of a read that began in time and was over a moment later.
    assert max(ages) <= MAX_LAG + 1


_unfinished: list[Any] = []


def begin_to_read() -> None:
    notes = Note.objects.using(ALIAS).order_by("pk").iterator(chunk_size=1)
    _unfinished.append(notes)
    next(notes)


def read_the_rest() -> int:
    return sum(1 for _ in _unfinished.pop())


def test_a_read_that_is_not_over_keeps_no_other_in_the_past(tmp_path: Path) -> None:
    with replica_world(tmp_path / "project", levels=[{"interval": "1h"}]) as world:
        world.vfs[ALIAS]["max_lag_seconds"] = MAX_LAG
        world.write_settings()
        world.write_note(count=300)
        with world.replicating(), world.worker() as worker:
            worker.call(wait_for_notes, ALIAS, 300)
            worker.call(begin_to_read)
            world.write_note()
            worker.call(wait_for_notes, ALIAS, 301, 20.0)
            assert worker.call(read_the_rest) == 299
