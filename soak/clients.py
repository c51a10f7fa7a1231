"""Clients of the site: each in a thread, those that write with a cookie jar."""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx

from tests.proof.ledger import NOTHING, Row

from .judging import Question, judge
from .stage import LEDGERS, MAX_LAG_SECONDS
from .tallies import Tallies
from .truth import Truth

WRITING, READING = 4, 4
# A replica may lack what was committed before its newest poll, which may be
# MAX_LAG_SECONDS ago, and a while more: what a daemon has to do until the storage has it.
SLACK_SECONDS = 30

_TIMEOUT = 60.0
_READS_AFTER_A_WRITE = 6
_LONGEST_PAUSE = 0.5


@dataclass
class Client:
    """A browser; ``own`` is the newest row that it has written."""

    name: str
    address: str
    truths: Mapping[str, Truth]
    tallies: Tallies
    chance: random.Random
    own: Row = NOTHING
    http: httpx.Client = field(
        default_factory=lambda: httpx.Client(timeout=_TIMEOUT, trust_env=False)
    )

    def write_and_read(self) -> None:
        """Write a row, and look for it several times until replicas have it."""
        answer = self._ask("append")
        if answer is not None:
            self.own = Row(answer["number"], answer["checksum"])
            with self.tallies.lock:
                self.tallies.rows_written += 1
        for _ in range(_READS_AFTER_A_WRITE):
            self._read_end("default", self.own)
            self._pause()

    def read(self) -> None:
        """Read something of either ledger."""
        ledger = self.chance.choice(LEDGERS)
        if self.chance.random() < 0.3:
            self._read_within(ledger)
        else:
            self._read_end(ledger, NOTHING)
        self._pause()

    def _read_end(self, ledger: str, own: Row) -> None:
        path = self.chance.choice(("newest", "newest", "totals"))
        question = Question(ledger=ledger, asked_at=time.time(), own=own)
        self._judge(question, self._ask(f"{path}/{ledger}"))

    def _read_within(self, ledger: str) -> None:
        question = Question(
            ledger=ledger, asked_at=time.time(), own=NOTHING, is_newest=False
        )
        newest = self.truths[ledger].committed_by(question.asked_at)
        first = self.chance.randint(1, max(1, newest))
        self._judge(question, self._ask(f"range/{ledger}/{first}"))

    def _ask(self, path: str) -> dict[str, Any] | None:
        try:
            response = self.http.get(f"{self.address}/{path}")
        except httpx.TimeoutException:
            self.tallies.fail(f"no answer within {_TIMEOUT:g} s")
            return None
        except httpx.TransportError as error:
            self.tallies.refuse(type(error).__name__)
            # As those who do not know when a server is back do.
            time.sleep(0.1)
            return None
        if response.status_code != httpx.codes.OK:
            self.tallies.fail(_reason(response))
            return None
        with self.tallies.lock:
            self.tallies.ok += 1
        answer: dict[str, Any] = response.json()
        return answer

    def _judge(self, question: Question, answer: dict[str, Any] | None) -> None:
        if answer is None:
            return
        verdict = judge(question, answer, self.truths[question.ledger])
        tallies, alias = self.tallies, str(answer["alias"])
        told = f"{time.time():.3f} {self.name}, {alias} of process {answer['pid']}: "
        with tallies.lock:
            tallies.answered_by[alias] += 1
            if verdict.wrong:
                problems = (f"{one.kind}: {one.detail}" for one in verdict.wrong)
                tallies.wrong.append(told + "; ".join(problems))
                tallies.wrong_by_kind.update({one.kind for one in verdict.wrong})
            if alias == question.ledger:
                return
            tallies.staleness.append(verdict.staleness)
            if verdict.staleness > MAX_LAG_SECONDS + SLACK_SECONDS:
                tallies.too_stale.append(f"{told}by {verdict.staleness:.1f} s")

    def _pause(self) -> None:
        time.sleep(self.chance.uniform(0, _LONGEST_PAUSE))


def _reason(response: httpx.Response) -> str:
    try:
        return f"{response.status_code} {response.json()['error']}"
    except (ValueError, KeyError):
        return f"{response.status_code} {response.text[:200]}"


@contextmanager
def clients(
    address: str, truths: Mapping[str, Truth], tallies: Tallies, seed: int
) -> Iterator[None]:
    """Have clients use the site for the block."""
    is_over = threading.Event()

    def use(number: int) -> None:
        name = f"client {number}"
        chance = random.Random(f"{seed} {name}")
        client = Client(name, address, truths, tallies, chance)
        with client.http:
            while not is_over.is_set():
                if number < WRITING:
                    client.write_and_read()
                else:
                    client.read()

    with ThreadPoolExecutor(WRITING + READING) as threads:
        used = threads.map(use, range(WRITING + READING))
        try:
            yield
        finally:
            is_over.set()
            # It raises what a client has raised.
            list(used)
