"""The cookie that carries a client's writes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from django.core.exceptions import MiddlewareNotUsed
from django.http import HttpResponse
from django.test import override_settings

from django_litestream.control import Daemon
from django_litestream.middleware import COOKIE, LitestreamMiddleware

from .browsing import (
    PIN,
    REPLICA,
    Answer,
    Browser,
    browse,
    txids_in,
    wait_until_read_from_the_replica,
)
from .project import wait_until
from .replica_world import ReplicaWorld, Worker, replica_world
from .routing_project.site import make_site


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


def write_over_https() -> Answer:
    return Browser().get("write", secure=True)


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


def test_a_project_without_replicas_does_without() -> None:
    with pytest.raises(MiddlewareNotUsed, match="No replica is read from"):
        LitestreamMiddleware(lambda request: HttpResponse())
