"""Nobody misses their own write: clients of several processes, over HTTP."""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import pytest

from .project import PATIENCE
from .replica_world import ReplicaWorld, in_threads, replica_world
from .routing_project.site import make_site, served

WORKERS = 4
ROUNDS = 1_000
HASTY_CLIENTS, PAUSING_CLIENTS = 2, 32
ROUNDS_WITH_PAUSE = 8
ROUNDS_IN_HASTE = (ROUNDS - PAUSING_CLIENTS * ROUNDS_WITH_PAUSE) // HASTY_CLIENTS + 1


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """A site whose database is replicated, and polled, as often as by default."""
    directory: Path = tmp_path_factory.mktemp("read-your-writes")
    with replica_world(directory / "project") as made:
        for entry in made.litestream["dbs"]:
            del entry["monitor-interval"], entry["replica"]["sync-interval"]
        del made.vfs["default_replica"]["poll_interval"]
        make_site(made)
        made.write_note()
        with made.replicating():
            yield made


@dataclass
class Client:
    """A browser, with its cookies; ``read_from`` counts where its reads came from."""

    address: str
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=PATIENCE))
    missed: list[int] = field(default_factory=list)
    read_from: Counter[str] = field(default_factory=Counter)
    pids: set[int] = field(default_factory=set)
    rounds: int = 0

    def write(self) -> int:
        number: int = self._ask("write")["number"]
        self.rounds += 1
        return number

    def read(self, number: int) -> None:
        answer = self._ask(f"read/{number}")
        if answer["found"]:
            self.read_from[answer["read_from"]] += 1
        else:
            self.missed.append(number)

    def _ask(self, path: str) -> dict[str, Any]:
        response = self.http.get(f"{self.address}/{path}")
        response.raise_for_status()
        answer: dict[str, Any] = response.json()
        self.pids.add(answer["pid"])
        return answer


def test_a_thousand_writes_are_read_back(world: ReplicaWorld) -> None:
    with served(world, workers=WORKERS) as address:

        def use(number: int) -> Client:
            client = Client(address)
            # Nothing about the outcome depends on it: the moments are spread out.
            moments = random.Random(number)
            with client.http:
                if number < HASTY_CLIENTS:
                    for _ in range(ROUNDS_IN_HASTE):
                        written = client.write()
                        client.read(written)
                        client.read(written)
                else:
                    for _ in range(ROUNDS_WITH_PAUSE):
                        written = client.write()
                        client.read(written)
                        # A replica has it after about two seconds; read around then.
                        time.sleep(moments.uniform(0.2, 2.5))
                        for _ in range(6):
                            client.read(written)
                            time.sleep(moments.uniform(0, 0.1))
            return client

        begun = time.monotonic()
        clients = in_threads(HASTY_CLIENTS + PAUSING_CLIENTS, use)
        seconds = time.monotonic() - begun

    assert sum(client.rounds for client in clients) >= ROUNDS
    assert [client.missed for client in clients if client.missed] == []
    assert len(set().union(*(client.pids for client in clients))) == WORKERS
    shares = [share(clients[:HASTY_CLIENTS]), share(clients[HASTY_CLIENTS:])]
    print(
        f"In {seconds:.0f} s the replica answered {shares[0]:.0%} of the reads of "
        f"clients in haste, {shares[1]:.0%} of those of clients that paused."
    )
    assert shares[1] > 0.15


def share(clients: list[Client]) -> float:
    """Return the share of reads that a replica answered."""
    read_from = sum((client.read_from for client in clients), Counter[str]())
    return read_from["default_replica"] / read_from.total()
