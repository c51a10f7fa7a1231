"""When requests ask the primary's daemon for the cookie, and what that costs them."""

from __future__ import annotations

import json
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from django_litestream.write_txids import txid_of_commits

from .browsing import (
    PIN,
    REPLICA,
    Answer,
    Browser,
    browse,
    txids_in,
    wait_until_read_from_the_replica,
)
from .project import PATIENCE, wait_until
from .replica_world import ReplicaWorld, replica_world
from .routing_project.site import make_site

# What a busy machine may take for a request's own work, which is a thousandth of it.
QUICK = 5.0


@dataclass
class FakeDaemon:
    """A server on a Unix socket that keeps what it is told, and answers or does not.

    What only asks, as the watcher of the replicas does, is not kept.
    """

    path: Path
    answer: bytes | None
    requests: list[bytes] = field(default_factory=list)
    _kept: list[socket.socket] = field(default_factory=list)

    @contextmanager
    def listening(self) -> Iterator[None]:
        self.path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(str(self.path))
            server.listen()
            thread = threading.Thread(target=self._serve, args=[server])
            thread.start()
            try:
                yield
            finally:
                server.shutdown(socket.SHUT_RDWR)
                thread.join()
                for connection in self._kept:
                    connection.close()

    def _serve(self, server: socket.socket) -> None:
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            self._kept.append(connection)
            threading.Thread(target=self._answer, args=[connection]).start()

    def _answer(self, connection: socket.socket) -> None:
        try:
            while request := connection.recv(65536):
                if b"{" in request:
                    self.requests.append(request)
                    if self.answer is not None:
                        connection.sendall(self.answer)
        except OSError:
            pass


@pytest.fixture(scope="module")
def lonely(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """A site with a replica and no daemon any more, and a socket to put one on."""
    directory = tmp_path_factory.mktemp("lonely")
    with replica_world(directory / "project") as made:
        make_site(made)
        # With a limit no replica of a daemon that does not answer is read from.
        made.vfs.update(pin_seconds=2, max_lag_seconds=None)
        made.litestream["socket"] = {"enabled": True, "path": str(directory / "s")}
        made.write_settings()
        made.write_note()
        with made.replicating():
            pass
        yield made


def sync_answer(txid: int) -> bytes:
    body = json.dumps({"status": "synced", "txid": txid, "replicated_txid": 0}).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)


def test_a_daemon_is_asked_by_requests_that_wrote_and_by_no_other(
    lonely: ReplicaWorld,
) -> None:
    daemon = FakeDaemon(lonely.socket, sync_answer(0xABC))
    with daemon.listening(), lonely.worker() as worker:
        worker.call(browse, "nothing", "read/1", "async/nothing", "async/read/1")
        assert daemon.requests == []
        (answer,) = worker.call(browse, "write")
        assert len(daemon.requests) == 1
        worker.call(browse, "write/atomic", "async/write", "read/1")
        assert len(daemon.requests) == 3
    assert answer.cookie is not None
    assert txids_in(answer.cookie["value"]) == [0xABC]


def write_alone() -> list[Answer]:
    """Write several times where no daemon answers."""
    return [Browser().get("write") for _ in range(3)]


def wait_for_the_end_of_a_pin() -> tuple[Answer, list[str], float]:
    wait_until_read_from_the_replica("wsgi", "read")
    browser = Browser()
    written = browser.get("write")
    begun = time.monotonic()
    places = []

    def is_over() -> bool:
        places.append(browser.get("read/1").content["read_from"])
        return bool(places[-1] == REPLICA)

    wait_until(is_over)
    return written, places, time.monotonic() - begun


def are_pins_of_now(txids: list[int]) -> bool:
    return all(0 <= time.time() - (txid - PIN) < PATIENCE for txid in txids)


@contextmanager
def settings_of(
    world: ReplicaWorld, *, max_lag_seconds: float | None, has_socket: bool
) -> Iterator[None]:
    """Have other settings for the block."""
    before = deepcopy(world.litestream)
    world.vfs["max_lag_seconds"] = max_lag_seconds
    world.litestream["socket"]["enabled"] = has_socket
    world.write_settings()
    try:
        yield
    finally:
        world.litestream = before
        world.write_settings()


@pytest.mark.parametrize(
    ("limit", "seconds"), [(60.0, 76), (0.5, 16), (None, 86_400)], ids=str
)
def test_a_pin_outlasts_what_a_replica_is_trusted_for(
    lonely: ReplicaWorld, limit: float | None, seconds: int
) -> None:
    changed = settings_of(lonely, max_lag_seconds=limit, has_socket=True)
    with changed, lonely.worker() as worker:
        (written,) = worker.call(browse, "write")
    assert written.cookie is not None
    assert written.cookie["max-age"] == seconds


def test_where_no_daemon_can_be_asked_a_client_is_pinned(lonely: ReplicaWorld) -> None:
    changed = settings_of(lonely, max_lag_seconds=None, has_socket=False)
    with changed, lonely.worker() as worker:
        written, places, seconds = worker.call(wait_for_the_end_of_a_pin)
    assert written.cookie is not None
    assert are_pins_of_now(txids_in(written.cookie["value"]))
    assert written.cookie["max-age"] == 3
    assert set(places[:-1]) == {"default"}
    assert 2 <= seconds < 3 + QUICK


def test_a_daemon_that_does_not_answer_is_waited_for_once(lonely: ReplicaWorld) -> None:
    daemon = FakeDaemon(lonely.socket, answer=None)
    with daemon.listening(), lonely.worker() as worker:
        worker.call(browse, "nothing")
        first, *others = worker.call(write_alone)
    assert len(daemon.requests) == 1
    assert first.seconds < 1 + QUICK
    assert max(other.seconds for other in others) < QUICK
    for answer in (first, *others):
        assert answer.cookie is not None
        assert are_pins_of_now(txids_in(answer.cookie["value"]))


def ask_together() -> list[int | None]:
    with ThreadPoolExecutor(8) as threads:
        return list(threads.map(txid_of_commits, ["default"] * 8))


def test_a_daemon_that_does_not_answer_is_asked_once_by_all(
    lonely: ReplicaWorld,
) -> None:
    daemon = FakeDaemon(lonely.socket, answer=None)
    with daemon.listening(), lonely.worker() as worker:
        assert worker.call(ask_together) == [None] * 8
    assert len(daemon.requests) == 1
