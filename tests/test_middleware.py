"""The cookie that carries a client's writes, and what it costs to make it."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.test import AsyncClient, Client, override_settings

from django_litestream.control import Daemon
from django_litestream.middleware import COOKIE, LitestreamMiddleware
from django_litestream.write_txids import txid_of_commits

from .project import PATIENCE, wait_until
from .replica_world import ReplicaWorld, Worker, replica_world
from .routing_project.site import make_site

REPLICA = "default_replica"

# In the cookie of a client of whose write no daemon has told, and the time of that.
PIN = 2**63

# What a busy machine may take for a request's own work, which is a thousandth of it.
QUICK = 5.0


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """A site with two databases, replicated."""
    directory = tmp_path_factory.mktemp("middleware")
    with replica_world(directory / "project", "default", "other") as made:
        make_site(made)
        made.write_note()
        with made.replicating():
            yield made


@pytest.fixture(scope="module")
def worker(world: ReplicaWorld) -> Iterator[Worker]:
    with world.worker() as made:
        yield made


@dataclass(frozen=True)
class Answer:
    """What came of a request; ``cookie`` is what it set, ``None`` where it set none."""

    status: int
    content: dict[str, Any]
    cookie: dict[str, Any] | None
    seconds: float = 0.0


def as_answer(response: Any, seconds: float = 0.0) -> Answer:
    content = b"".join(response) if response.streaming else response.content
    morsel = response.cookies.get(COOKIE)
    return Answer(
        status=response.status_code,
        content=json.loads(content) if response.status_code == 200 else {},
        cookie=morsel and {"value": morsel.value, **morsel},
        seconds=seconds,
    )


class Browser:
    """A client of the site under WSGI or ASGI, with its cookies."""

    def __init__(self, server: str = "wsgi", cookie: str | None = None) -> None:
        self._client: Any = (
            AsyncClient(raise_request_exception=False)
            if server == "asgi"
            else Client(raise_request_exception=False)
        )
        self._is_async = server == "asgi"
        if cookie is not None:
            self._client.cookies[COOKIE] = cookie

    @property
    def cookie(self) -> str | None:
        morsel = self._client.cookies.get(COOKIE)
        return morsel.value or None if morsel else None

    def get(self, path: str, **options: Any) -> Answer:
        begun = time.monotonic()
        if self._is_async:
            response = asyncio.run(self._client.get(f"/{path}", **options))
        else:
            response = self._client.get(f"/{path}", **options)
        return as_answer(response, time.monotonic() - begun)


def browse(*paths: str) -> list[Answer]:
    browser = Browser()
    return [browser.get(path) for path in paths]


def write_over_https() -> Answer:
    return Browser().get("write", secure=True)


def txids_in(cookie: str) -> list[int]:
    """Return what is in a cookie, which anybody can read and nobody forge."""
    value, made_at, signature = cookie.split(":")
    assert re.fullmatch(r"[0-9a-f]+(\.[0-9a-f]+)*", value)
    assert made_at
    assert signature
    return [int(txid, 16) for txid in value.split(".")]


def test_the_cookie_holds_txids_and_nothing_else(
    world: ReplicaWorld, worker: Worker
) -> None:
    (answer,) = worker.call(browse, "write")
    newest = Daemon(world.socket).sync(world.database).txid
    assert answer.cookie is not None
    assert txids_in(answer.cookie["value"]) == [newest, 0]
    assert (answer.cookie["httponly"], answer.cookie["samesite"]) == (True, "Lax")
    assert (answer.cookie["max-age"], answer.cookie["secure"]) == (86_400, "")
    over_https = worker.call(write_over_https).cookie
    assert over_https is not None
    assert over_https["secure"] is True


def test_a_request_that_wrote_nothing_sets_no_cookie(worker: Worker) -> None:
    answers = worker.call(browse, "nothing", "read/1", "async/nothing", "async/read/1")
    assert [answer.cookie for answer in answers] == [None] * 4
    assert [answer.status for answer in answers] == [200] * 4


def test_a_write_is_remembered_whatever_becomes_of_the_request(worker: Worker) -> None:
    (answer,) = worker.call(browse, "write/fail")
    assert answer.status == 500
    assert answer.cookie is not None
    # What is streamed after the middleware is done is still read from the primary.
    (answer,) = worker.call(browse, "write/stream")
    assert answer.content["read_from"] == "default"
    assert answer.cookie is not None


def write_and_read(server: str, write: str, read: str) -> str:
    """Return where a request reads from that has written, once a replica has that."""
    wait_until_read_from_the_replica(server, read)
    browser = Browser(server)
    written = browser.get(write)
    assert written.cookie is not None
    path = f"{read}/{written.content['number']}"

    def is_read_from_the_replica() -> bool:
        answer = browser.get(path)
        assert answer.content["found"]
        return bool(answer.content["read_from"] == REPLICA)

    wait_until(is_read_from_the_replica)
    assert browser.cookie is not None
    return str(written.content["read_from"])


def wait_until_read_from_the_replica(server: str, read: str) -> None:
    """Wait until who has written nothing reads from the replica."""
    browser = Browser(server)
    wait_until(lambda: browser.get(f"{read}/1").content["read_from"] == REPLICA)


@pytest.mark.parametrize("server", ["wsgi", "asgi"])
@pytest.mark.parametrize("read", ["read", "async/read"])
@pytest.mark.parametrize("write", ["write", "write/atomic", "async/write"])
def test_a_client_reads_from_the_primary_until_the_replica_has_its_write(
    worker: Worker, server: str, write: str, read: str
) -> None:
    assert worker.call(write_and_read, server, write, read) == "default"


def write_and_read_until_from_replica() -> list[tuple[bool, dict[str, Any] | None]]:
    """Return of each read whether the write was found, and the cookie it came with."""
    browser = Browser()
    written = browser.get("write").content["number"]
    answers = []

    def is_from_replica() -> bool:
        answer = browser.get(f"read/{written}")
        answers.append((bool(answer.content["found"]), answer.cookie))
        return bool(answer.content["read_from"] == REPLICA)

    wait_until(is_from_replica)
    assert browser.cookie is not None
    return answers


def test_the_cookie_stays_as_other_processes_may_not_have_the_write_yet(
    worker: Worker,
) -> None:
    answers = worker.call(write_and_read_until_from_replica)
    assert set(answers) == {(True, None)}


def read_with(cookie: str) -> Answer:
    return Browser(cookie=cookie).get("read/1")


def signed(value: str, name: str = COOKIE, primaries: str = "default other") -> str:
    """Return a cookie as a project with these primaries signs it."""
    response = HttpResponse()
    salt = f"django_litestream.middleware {primaries.split()}"
    response.set_signed_cookie(name, value, salt=salt)
    cookie: str = response.cookies[name].value
    return cookie


def cookies() -> dict[str, str]:
    """Return a cookie that is good, and others that are not."""
    txids = f"{PIN - 1:x}.0"
    good = signed(txids)
    value, made_at, signature = good.split(":")
    with override_settings(SECRET_KEY="another"):
        of_another_project = signed(txids)
    return {
        "good": good,
        "another value": f"{PIN - 2:x}.0:{made_at}:{signature}",
        "another time": f"{value}:{made_at[:-1]}:{signature}",
        "another signature": f"{value}:{made_at}:{signature[::-1]}",
        "no signature": value,
        "empty": "",
        "another cookie's": signed(txids, name="sessionid"),
        "of other primaries": signed(f"{PIN - 1:x}", primaries="default"),
        "of another project": of_another_project,
        "nonsense": "\xe9;::",
    }


def test_cookies_that_are_not_ours_are_ignored(worker: Worker) -> None:
    worker.call(wait_until_read_from_the_replica, "wsgi", "read")
    made = worker.call(cookies)
    assert worker.call(read_with, made.pop("good")).content["read_from"] == "default"
    for what, cookie in made.items():
        answer = worker.call(read_with, cookie)
        assert (what, answer.content["read_from"]) == (what, REPLICA)
        assert answer.cookie is None


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


def test_a_project_without_replicas_does_without() -> None:
    with pytest.raises(MiddlewareNotUsed, match="No replica is read from"):
        LitestreamMiddleware(lambda request: HttpResponse())
