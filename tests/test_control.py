"""The control socket: the real daemon, and everything that may sit there instead."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from django_litestream.control import Daemon, Info, ManagedDatabase
from django_litestream.errors import DaemonError, DaemonUnavailable

from .project import Project


@contextmanager
def answering(path: Path, *answers: bytes) -> Iterator[Daemon]:
    """A real server on a Unix socket that gives these bytes whatever it is asked."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=[server, list(answers)])
        thread.start()
        try:
            with Daemon(path, timeout=1.0) as daemon:
                yield daemon
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(server: socket.socket, answers: list[bytes]) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            # A connection that is only tried is closed at once.
            if connection.recv(65536):
                connection.sendall(answers[0])
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)


def http(body: bytes, status: str = "200 OK") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


def test_the_real_daemon(project: Project) -> None:
    with (
        project.replicating() as process,
        Daemon(project.socket) as daemon,
    ):
        assert daemon.info() == Info(version="0.5.17", pid=process.pid)
        assert daemon.databases() == (
            ManagedDatabase(path=project.database, status="replicating", synced=True),
        )


def test_nobody(tmp_path: Path) -> None:
    with (
        Daemon(tmp_path / "socket") as daemon,
        pytest.raises(DaemonUnavailable, match="No such file or directory"),
    ):
        daemon.info()


def test_a_socket_that_was_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with (
        Daemon(path) as daemon,
        pytest.raises(DaemonUnavailable, match="Connection refused"),
    ):
        daemon.info()


def test_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    with (
        Daemon(tmp_path / "socket") as daemon,
        pytest.raises(DaemonUnavailable, match="Connection refused"),
    ):
        daemon.info()


def test_one_that_never_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        with (
            Daemon(tmp_path / "socket", timeout=0.3) as daemon,
            pytest.raises(DaemonUnavailable, match=r"no answer within 0\.3 s"),
        ):
            daemon.info()


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (b"", "is not a Litestream daemon"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "is not a Litestream daemon"),
        (http(b"<html>"), "/info gave status 200 and no JSON"),
        (http(b"[]"), "/info gave status 200 and no JSON"),
        (http(b"\xff\xfe"), "/info gave status 200 and no JSON"),
        (http(b"gone", "502 Bad Gateway"), "gave status 502 and no JSON"),
        (http(b"{}"), "has no 'version'"),
        (http(b'{"version": 5, "pid": 1}'), "has no 'version'"),
        (http(b'{"version": "0.5.17", "pid": "1"}'), "has no 'pid'"),
        (http(b'{"error": "out of order"}', "500 X"), "^out of order$"),
        (http(b'{"error": "no", "details": "why"}', "400 X"), "^why$"),
        (http(b"{}", "503 X"), "^503$"),
        (http(b'{"version": "0.5'), "no JSON"),
    ],
)
def test_one_that_talks_nonsense(tmp_path: Path, answer: bytes, message: str) -> None:
    with (
        answering(tmp_path / "socket", answer) as daemon,
        pytest.raises(DaemonError, match=message),
    ):
        daemon.info()


@pytest.mark.parametrize("body", [b'{"databases": {}}', b'{"databases": [3]}', b"{}"])
def test_a_list_that_is_none(tmp_path: Path, body: bytes) -> None:
    with (
        answering(tmp_path / "socket", http(body)) as daemon,
        pytest.raises(DaemonError, match="has no"),
    ):
        daemon.databases()


def test_a_system_without_unix_sockets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Python on Windows is; no machine that runs these tests lacks them."""
    monkeypatch.delattr(socket, "AF_UNIX")
    with (
        Daemon(tmp_path / "socket") as daemon,
        pytest.raises(DaemonUnavailable, match="no Unix sockets on this system"),
    ):
        daemon.info()
