"""``vfs-status`` tells of a replica that is polled and does not get what is written."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_litestream.conf import app_settings

from .replica_world import replica_world

ALIAS = "default_replica"
COPIES = [f"copy{number}" for number in range(1, 6)]


def test_replicas_that_do_not_get_what_is_written_lag(tmp_path: Path) -> None:
    """As those whose URLs are those of copies."""
    with replica_world(tmp_path / "project") as world:
        world.write_note()
        with world.replicating():
            world.wait_until_replicated()
            for name in COPIES:
                copy = world.directory / name
                shutil.copytree(world.replica_of("default"), copy)
                world.vfs[name] = {**world.vfs[ALIAS], "url": copy.as_uri()}
            world.write_settings()
            world.write_note()
            followed = world.run("vfs-status", ALIAS)
            began = time.monotonic()
            shown = world.run("vfs-status", "-json", *COPIES)
            seconds = time.monotonic() - began
    assert (followed.returncode, shown.returncode) == (0, 1)
    assert f"{ALIAS}: Healthy" in followed.stdout
    assert "Not healthy: copy1 (Lagging), copy2 (Lagging)" in shown.stderr
    for status in json.loads(shown.stdout):
        assert (status["status"], status["behind"]) == ("Lagging", 1)
        assert "it has lacked what its primary's daemon had" in status["reason"]
    # Each takes ten seconds, but all of them together.
    assert seconds < len(COPIES) * 10.0


@pytest.mark.parametrize(
    ("litestream", "seconds"),
    [
        ({}, 1.0),
        ({"dbs": [{"path": "a.sqlite3"}]}, 1.0),
        ({"sync-interval": "1m"}, 60.0),
        ({"dbs": [{"path": "a", "replica": {"sync-interval": "2m"}}]}, 120.0),
        ({"dbs": [{"path": "a", "replicas": [{"sync-interval": "90s"}]}]}, 90.0),
        ({"dbs": [{"path": "a", "replica": {"sync-interval": "100ms"}}]}, 1.0),
        ({"sync-interval": "often"}, 1.0),
    ],
)
def test_an_upload_may_wait_for_the_sync_interval(
    litestream: dict[str, Any], seconds: float
) -> None:
    with override_settings(LITESTREAM=litestream):
        assert app_settings.longest_sync_interval == seconds
