"""Whatever answers on the control socket, a call ends in time and with one line."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from django_litestream.control import Daemon, Info, ManagedDatabase, Progress
from django_litestream.errors import DaemonError, DaemonUnavailable

from .daemons import Answer, Ending, FalseDaemon, false_daemon
from .nonsense import json_values, one_line, scalars

TIMEOUT = 0.2
# A drop comes well before the timeout of a single wait is over.
PAUSE = TIMEOUT / 5
# When a call counts as one that hangs, on however busy a machine.
LIMIT = 5.0

NEWEST_TXID = 2**63 - 1

type Call = Callable[[Daemon], object]

CALLS: dict[str, Call] = {
    "info": Daemon.info,
    "databases": Daemon.databases,
    "txid": lambda daemon: daemon.txid(Path("/srv/db.sqlite3")),
    "sync": lambda daemon: daemon.sync(Path("/srv/db.sqlite3")),
}
calls = st.sampled_from(sorted(CALLS))


def http(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    head = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(head).encode("latin-1") + body


@pytest.fixture(scope="module")
def sitting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[FalseDaemon]:
    path = tmp_path_factory.mktemp("daemon") / "socket"
    with false_daemon(path) as daemon:
        yield daemon


def outcome(sitting: FalseDaemon, name: str, answer: Answer) -> object:
    """Return what comes of a call: what it returns, or a ``DaemonError``."""
    found: list[object] = []

    def call() -> None:
        try:
            found.append(CALLS[name](Daemon(sitting.path, timeout=TIMEOUT)))
        except Exception as error:
            found.append(error)

    sitting.answer = answer
    caller = threading.Thread(target=call, daemon=True)
    caller.start()
    caller.join(LIMIT)
    hangs = caller.is_alive()
    sitting.hang_up()
    assert not hangs, f"{name} hangs long after its {TIMEOUT} s"
    (one,) = found
    if isinstance(one, Exception):
        assert isinstance(one, DaemonError), repr(one)
        one_line(one)
    return one


def is_a_number(value: object, most: float = float("inf")) -> bool:
    return type(value) is int and 0 <= value <= most


def is_what_was_asked_for(found: object) -> bool:
    """Whether what a call has returned is of the types that it promises."""
    match found:
        case Info():
            return isinstance(found.version, str) and is_a_number(found.pid)
        case Progress():
            txids = (found.txid, found.replicated_txid)
            return all(is_a_number(txid, NEWEST_TXID) for txid in txids)
        case tuple():
            return all(
                isinstance(one, ManagedDatabase)
                and isinstance(one.path, Path)
                and isinstance(one.status, str)
                and isinstance(one.last_sync_at, str)
                for one in found
            )
        case _:
            return is_a_number(found, NEWEST_TXID) or isinstance(found, DaemonError)


# Whole answers, whose fields have the right names and any value.
answers = st.one_of(
    json_values,
    st.fixed_dictionaries(
        {},
        optional=dict.fromkeys(
            ("version", "pid", "txid", "replicated_txid", "error", "details"),
            json_values,
        ),
    ),
    st.fixed_dictionaries({"txid": scalars, "replicated_txid": scalars}),
    st.fixed_dictionaries(
        {
            "databases": st.lists(
                st.fixed_dictionaries(
                    {"path": scalars, "status": scalars},
                    optional={"last_sync_at": scalars},
                ),
                max_size=3,
            )
        }
    ),
)
statuses = st.sampled_from(
    ["200 OK", "202 ", "204 No", "301 X", "400 Bad", "404 X", "500 X", "599 X", "999 X"]
)

quickly = settings(
    max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
slowly = settings(quickly, max_examples=15)


@quickly
@given(calls, answers, statuses)
@example("txid", {"txid": True}, "200 OK")
@example("sync", {"txid": -1, "replicated_txid": 0}, "200 OK")
@example("sync", {"txid": 2**63, "replicated_txid": 0}, "200 OK")
@example("sync", {"error": "first\nsecond"}, "500 X")
@example("info", {"details": " "}, "500 X")
@example("info", {"version": "x" * 1_000_000}, "200 OK")
@example("databases", {"databases": ["\n"]}, "200 OK")
def test_json_of_any_shape(
    sitting: FalseDaemon, name: str, answer: Any, status: str
) -> None:
    body = json.dumps(answer).encode()
    found = outcome(sitting, name, Answer((http(body, status),)))
    assert is_what_was_asked_for(found), found


@quickly
@given(calls, st.binary(max_size=200), statuses, st.booleans())
@example("info", b"[" * 100_000, "200 OK", True)
@example("info", b'{"a":' * 100_000, "200 OK", True)
@example("info", b"1" * 10_000, "200 OK", True)
@example("info", b"HTTP/1.1 100 Continue\r\n\r\n", "200 OK", False)
@example("info", b"HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n{}", "200 OK", False)
@example("info", b"HTTP/1.1 200 \n\n\r\nx:\x00\r\n\r\n{}", "200 OK", False)
@example("info", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n{}", "200", False)
def test_bytes_of_any_kind(
    sitting: FalseDaemon, name: str, content: bytes, status: str, is_http: bool
) -> None:
    answer = http(content, status) if is_http else content
    found = outcome(sitting, name, Answer((answer,)))
    assert isinstance(found, DaemonError), found


GOOD = http(json.dumps({"version": "0.5.17", "pid": 1}).encode())


@quickly
@given(st.integers(min_value=0, max_value=len(GOOD)))
def test_an_answer_that_breaks_off(sitting: FalseDaemon, length: int) -> None:
    found = outcome(sitting, "info", Answer((GOOD[:length],)))
    assert isinstance(found, DaemonError if length < len(GOOD) else Info), found


@slowly
@given(st.integers(min_value=0, max_value=len(GOOD) - 1))
def test_an_answer_that_stops_half_way(sitting: FalseDaemon, length: int) -> None:
    answer = Answer((GOOD[:length],), ending=Ending.SILENCE)
    assert isinstance(outcome(sitting, "info", answer), DaemonUnavailable)


@slowly
@given(
    calls,
    st.sampled_from(
        [
            b"H",
            b"HTTP/1.1 200 OK\r\nX: ",
            b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n{ ",
            b"HTTP/1.1 200 OK\r\n\r\n{ ",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1",
            b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 100 Continue\r\n",
        ]
    ),
)
@example("info", b"HTTP/1.1 200 OK\r\n\r\n ")
def test_an_answer_that_comes_drop_by_drop(
    sitting: FalseDaemon, name: str, answer: bytes
) -> None:
    found = outcome(sitting, name, Answer.drop_by_drop(answer, PAUSE))
    assert isinstance(found, DaemonError), found


def test_an_answer_that_is_too_long(sitting: FalseDaemon) -> None:
    body = {"version": "0.5.17", "pid": 1, "more": "x" * 2**24}
    answer = Answer((http(json.dumps(body).encode()),))
    assert isinstance(outcome(sitting, "info", answer), DaemonError)


class Endless(Enum):
    """A beginning, and what comes after it again and again."""

    BODY = (b"HTTP/1.1 200 OK\r\n\r\n", b" " * 1_000)
    CHUNKS = (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"1\r\n \r\n")
    CONTINUATIONS = (b"", b"HTTP/1.1 100 Continue\r\n\r\n")
    HEADERS = (b"HTTP/1.1 200 OK\r\n", b"X: x\r\n")


@pytest.mark.parametrize("endless", Endless)
def test_an_answer_without_an_end(sitting: FalseDaemon, endless: Endless) -> None:
    answer = Answer(endless.value, ending=Ending.ENDLESS)
    assert isinstance(outcome(sitting, "info", answer), DaemonError)
