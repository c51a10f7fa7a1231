"""What befalls the web server, under clients that write and read by its router."""

from __future__ import annotations

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import httpx
import pytest

from soak.clients import clients
from soak.ending import end
from soak.judging import Question, judge
from soak.processes import Service
from soak.stage import LEDGERS, WORKERS, Stage, stage
from soak.tallies import Tallies
from soak.truth import Truth
from tests.proof.ledger import NOTHING, Row

from ..project import PATIENCE, linux, wait_until
from ..replica_world import replica_world
from ..routing_project.site import make_site, served
from .clock import Clock

pytestmark = [pytest.mark.prove, linux]

DAY = 86_400
# The product keeps a client's cookie for a day: what is beyond is a test of its own.
NEARLY_A_DAY = DAY - 1800
KILLS = 8
REPLICA = "default_replica"


@dataclass
class Used:
    """A site that clients use, and what they have met."""

    stage: Stage
    tallies: Tallies = field(default_factory=Tallies)

    def __post_init__(self) -> None:
        self.truths = {name: Truth(self.stage.journal(name)) for name in LEDGERS}

    def wait_for_more(self, rows: int = 1, reads: int = 0) -> None:
        """Wait until clients have written and, from replicas, read so much more."""
        written, read = self.tallies.rows_written, self._read_from_replicas()
        wait_until(lambda: self.tallies.rows_written >= written + rows)
        wait_until(lambda: self._read_from_replicas() >= read + reads)

    def _read_from_replicas(self) -> int:
        answered_by = self.tallies.answered_by
        return sum(answered_by[f"{name}_replica"] for name in LEDGERS)

    def judge(self) -> None:
        """Judge what was read, and what can be restored."""
        ending = end(self.stage, self.truths)
        assert [*self.tallies.wrong, *ending.wrong] == []
        assert self.tallies.too_stale == []
        assert (ending.lost, ending.problems) == (0, [])


@contextmanager
def used(made: Stage, seed: int) -> Iterator[Used]:
    """Have clients use the site for the block, and what came of it judged after it."""
    it = Used(made)
    with clients(made.address, it.truths, it.tallies, seed):
        it.wait_for_more(reads=1)
        yield it
    print(f"{it.tallies.requests} requests: {it.tallies.answered_by}")
    it.judge()


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_workers_that_end(tmp_path: Path, seed: int, number: signal.Signals) -> None:
    """No answered write is lost, and none is missed by who has made it."""
    chance = random.Random(seed)
    with stage(tmp_path, seed) as made, used(made, seed) as site:
        for _ in range(KILLS):
            wait_until(lambda: len(made.workers) == WORKERS)
            time.sleep(chance.uniform(0, 1))
            with suppress(ProcessLookupError):
                os.kill(chance.choice(made.workers), number)
            site.wait_for_more()
        site.wait_for_more(reads=20)


def browser(address: str) -> httpx.Client:
    """Return a client each of whose requests may come to any worker."""
    return httpx.Client(
        base_url=address,
        timeout=PATIENCE,
        trust_env=False,
        limits=httpx.Limits(max_keepalive_connections=0),
    )


def shows_time(address: str, ahead: int, workers: int) -> bool:
    """Whether all workers have the clock set so much ahead of the true time."""
    seen = set()
    with browser(address) as http:
        for _ in range(4 * workers):
            answer = http.get("nothing")
            told = parsedate_to_datetime(answer.headers["Date"]).timestamp()
            if abs(told - time.time() - ahead) > 5:
                return False
            seen.add(answer.json()["pid"])
    return len(seen) == workers


@dataclass
class Probe:
    """A client that keeps its cookie whatever the time is."""

    site: Used
    http: httpx.Client
    own: Row = NOTHING

    def write(self) -> None:
        answer = self.ask("append")
        self.own = Row(answer["number"], answer["checksum"])

    def read(self) -> str:
        """Read the newest rows; return the alias they came from."""
        question = Question(ledger="default", asked_at=time.time(), own=self.own)
        answer = self.ask("newest/default")
        verdict = judge(question, answer, self.site.truths["default"])
        assert verdict.wrong == []
        return str(answer["alias"])

    def travel(self, seconds: int) -> bool:
        """Read rows of the past; return whether there were any."""
        answer = self.ask(f"ago/{seconds}")
        if "refused" in answer:
            return False
        question = Question(
            ledger="default", asked_at=time.time(), own=NOTHING, is_newest=False
        )
        assert judge(question, answer, self.site.truths["default"]).wrong == []
        # None are of a moment before the first row.
        if rows := answer["rows"]:
            assert answer["tally"] == max(number for number, *_ in rows)
        return True

    def ask(self, path: str) -> dict[str, Any]:
        response = self.http.get(path)
        assert response.status_code == httpx.codes.OK, response.text
        answer: dict[str, Any] = response.json()
        return answer


@pytest.mark.parametrize("seconds", [10, NEARLY_A_DAY])
def test_a_clock_that_is_set(tmp_path: Path, seed: int, seconds: int) -> None:
    """Set forward and back it makes no read wrong, and pins no client for ever."""
    clock = Clock(tmp_path / "clock")
    # A client's own write is in a replica for sure once it is compacted. The clocks
    # differ by a multiple of the interval, as a compaction that comes at another moment
    # than it is expected can hide commits of others.
    with stage(tmp_path, seed, compact_every="10s") as made:
        serve_by(made, clock)
        with used(made, seed) as site, browser(made.address) as http:
            probe = Probe(site, http)
            for ahead in (0, seconds, 0, -seconds, 0):
                probe.write()
                clock.set(ahead)
                probe.read()
                wait_until(lambda ahead=ahead: shows_time(made.address, ahead, WORKERS))
                probe.read()
                wait_until(lambda: probe.read() == REPLICA)
                probe.write()
                wait_until(lambda: probe.read() == REPLICA)
                site.wait_for_more(rows=5, reads=20)
                held = [probe.travel(ago) for ago in (0, 3, 10)]
                if ahead in (0, -NEARLY_A_DAY):
                    assert any(held) == (ahead == 0)


def serve_by(made: Stage, clock: Clock) -> None:
    """Have the site served by another server, whose time of day is ``clock``'s."""
    made.gunicorn.stop()
    environ = {
        **made.environment(),
        **clock.environ,
        "DJANGO_SETTINGS_MODULE": "tests.faults.clocked_settings",
        "TRUE_TIME_AT_START": str(time.time() - time.monotonic()),
    }
    made.gunicorn = Service(
        made.gunicorn.command, environ, made.log("gunicorn"), restart_after=1
    )
    wait_until(lambda: len(made.workers) == WORKERS)


@pytest.mark.parametrize("seconds", [-DAY, -10, 10, DAY])
def test_a_write_is_not_missed_by_a_clock_that_is_set(
    tmp_path: Path, seconds: int
) -> None:
    """A client reads what it wrote before, from a primary while no replica has it."""
    clock = Clock(tmp_path / "clock")
    with replica_world(tmp_path / "project") as world:
        world.litestream["dbs"][0]["replica"]["sync-interval"] = "1h"
        make_site(world)
        world.write_note()
        with (
            world.replicating(),
            served(world, workers=1, **clock.environ) as address,
            browser(address) as writer,
            browser(address) as stranger,
        ):
            assert world.run("sync", "-wait", "default").returncode == 0
            wait_until(lambda: stranger.get("read/1").json()["read_from"] == REPLICA)
            number = writer.get("write").json()["number"]
            clock.set(seconds)
            wait_until(lambda: shows_time(address, seconds, workers=1))
            wait_until(lambda: stranger.get("read/1").json()["read_from"] == REPLICA)
            # No replica has it yet.
            assert not stranger.get(f"read/{number}").json()["found"]
            assert writer.get(f"read/{number}").json()["found"]
