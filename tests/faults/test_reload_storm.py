"""A web server that is told to reload, over and over, while it reads replicas."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest

from ..project import PATIENCE, linux, processes_with, wait_until
from ..replica_world import ReplicaWorld, replica_world
from ..routing_project.site import gunicorn_log, make_site, served

pytestmark = [pytest.mark.prove, linux]

RELOADS = 8
WORKERS = 2


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    directory = tmp_path_factory.mktemp("storm")
    with replica_world(directory / "project") as made:
        make_site(made)
        made.write_note()
        with made.replicating():
            yield made


def parent(pid: int) -> int:
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def reads_from(client: httpx.Client, number: int) -> str:
    """Return what a row that the client has written is read from."""
    answer = client.get(f"/read/{number}").json()
    assert answer["found"], answer
    alias: str = answer["read_from"]
    return alias


def test_reloads_lose_no_write_and_leave_no_worker(world: ReplicaWorld) -> None:
    def write_and_read(client: httpx.Client) -> None:
        """Look for what was just written."""
        # The worker at the other end of a connection may be ended.
        with suppress(httpx.TransportError):
            reads_from(client, client.get("/write").json()["number"])

    with (
        served(world, workers=WORKERS) as address,
        httpx.Client(base_url=address, timeout=PATIENCE, trust_env=False) as client,
    ):
        master = parent(client.get("/write").json()["pid"])
        for _ in range(RELOADS):
            os.kill(master, signal.SIGHUP)
            ended = time.monotonic() + 1
            while time.monotonic() < ended:
                write_and_read(client)
        # A client that goes on writing is read to from the primary only.
        number = client.get("/write").json()["number"]
        wait_until(lambda: reads_from(client, number) == "default_replica")
        wait_until(lambda: len(children(master)) == WORKERS)
    assert "Traceback" not in gunicorn_log(world)
    wait_until(lambda: not processes_with(httpx.URL(address).netloc.decode()))


def children(pid: int) -> list[int]:
    found = []
    for path in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = path.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid and fields[0] != "Z":
            found.append(int(path.parent.name))
    return found
