"""What Litestream 0.5.17 does of some storages, and users have to be told."""

from __future__ import annotations

import json
import re
import sqlite3
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from urllib.parse import quote

import pytest

from django_litestream.errors import DaemonUnavailable
from django_litestream.sync import sync
from django_litestream.vfs import ensure_vfs_loaded

from ..project import wait_until
from ..replica_world import ReplicaWorld
from .conftest import each_kind
from .kinds import Kind
from .test_failures import (
    HALF_WAY,
    REPLICA,
    assert_restores,
    mortal_storage,
    own_world,
    replicate,
    restore,
    run,
)
from .world import has_snapshot, wait_until_stored, write_large

pytestmark = pytest.mark.prove

FILES = 40
ATTEMPTS = 20

# What is said of a file that is not there, and of one with nothing in it.
HOLE = "non-contiguous|invalid LTX file"
# For how long the daemon is asked whether what was cut counts as stored.
RACE = 10.0


@pytest.mark.parametrize("kind", each_kind(["nats"]), indirect=True)
def test_a_nats_replica_can_seldom_be_read(kind: Kind, tmp_path: Path) -> None:
    """Litestream's VFS ends the context of a transfer before it has read the file.

    The more files there are, the more of its openings fail; it restores all the same.
    """
    with own_world(kind, tmp_path) as world:
        world.litestream["levels"] = [{"interval": "1h"}]
        world.write_settings()
        with world.replicating():
            for _ in range(FILES):
                world.write_note()
                wait_until_stored(world)
            with world.worker() as worker:
                opened = worker.call(count_openings, world.vfs[REPLICA]["url"])
        assert opened < ATTEMPTS
        assert "context canceled" in world.worker_log()
        assert restore(world).status == 0


def count_openings(url: str) -> int:
    """Return how many of the attempts to open the replica did."""
    ensure_vfs_loaded()
    uri = f"file:x.db?vfs=litestream&mode=ro&replica_url={quote(url, safe='')}"
    opened = 0
    for _ in range(ATTEMPTS):
        try:
            sqlite3.connect(uri, uri=True).close()
        except sqlite3.OperationalError:
            continue
        opened += 1
    return opened


@pytest.mark.parametrize("name", each_kind(["nats"]))
@pytest.mark.parametrize("cut_after", [1_000, HALF_WAY, 2 * HALF_WAY])
def test_a_cut_upload_to_nats_leaves_no_hole_that_verify_calls_good(
    name: str, cut_after: int, tmp_path: Path
) -> None:
    """What has not arrived may count as stored; nothing can be restored then.

    That lasts until the next snapshot, by Litestream's defaults for a day. It is a race
    whether Litestream sees the cut before it takes the upload for done: the file is
    there, is not there, or has nothing in it.
    """
    with (
        mortal_storage(name, tmp_path) as (world, proxy, come_back),
        world.replicating(),
    ):
        wait_until(lambda: has_snapshot(world))
        proxy.cut_after(cut_after)
        write_large(world)
        wait_until(lambda: proxy.is_cut)
        with suppress(DaemonUnavailable):
            sync(world.socket, world.database, wait=True, timeout=RACE)

        with come_back():
            world.write_note()
            wait_until_stored(world)
            # All of it is acknowledged: either it can be restored, or verify says no.
            restored = restore(world)
            verified = run(world, "verify")
            if verified.status == 0:
                assert_restores(world)
            else:
                for outcome in (restored, verified):
                    assert outcome.status == 1, outcome.said
                    assert re.search(HOLE, outcome.said), outcome.said


@pytest.mark.parametrize("name", each_kind(["webdav"]))
def test_a_cut_upload_to_webdav_counts_as_done(name: str, tmp_path: Path) -> None:
    """It stands under its final name, and whoever uploads next goes on behind it.

    A daemon's snapshot, a second after its start, mends that; ``-once`` makes none.
    """
    with mortal_storage(name, tmp_path) as (world, proxy, come_back):
        assert replicate(world).status == 0
        write_large(world)
        proxy.cut_after(HALF_WAY)
        assert replicate(world).status == 1

        with come_back():
            assert replicate(world).status == 0

            restored = restore(world)
            assert restored.status == 1
            assert "unexpected EOF" in restored.said
            assert run(world, "verify", "-timeout", "5").status != 0


@pytest.fixture
def unverified_host(kind: Kind, tmp_path: Path) -> Iterator[ReplicaWorld]:
    """A replica by SFTP whose settings have no ``host-key``, of which a warning is."""
    with own_world(kind, tmp_path) as world:
        del world.litestream["dbs"][0]["replica"]["host-key"]
        world.write_settings()
        yield world


@pytest.mark.parametrize("kind", each_kind(["sftp"]), indirect=True)
def test_verify_where_the_host_is_not_verified(unverified_host: ReplicaWorld) -> None:
    with unverified_host.replicating():
        verified = run(unverified_host, "verify")
    assert verified.status == 0, verified.said


@pytest.mark.parametrize("kind", each_kind(["sftp"]), indirect=True)
def test_ltx_where_the_host_is_not_verified(unverified_host: ReplicaWorld) -> None:
    assert replicate(unverified_host).status == 0
    listed = unverified_host.run("ltx", "-json", "default")
    assert json.loads(listed.stdout)
    assert "sftp host key not verified" in listed.stderr
