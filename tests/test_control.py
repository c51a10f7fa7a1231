"""The control socket: the real daemon, and everything that may sit there instead."""

from __future__ import annotations

import json
import socket
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path

import pytest

from django_litestream.control import Cut, Daemon, Info, ManagedDatabase, Progress
from django_litestream.errors import DaemonError, DaemonUnavailable

from .project import PATIENCE, Project, count_rows, linux
from .verified import read_locks


@contextmanager
def answering(
    path: Path, answer: bytes, asked: list[bytes] | None = None
) -> Iterator[Daemon]:
    """A real server on a Unix socket that gives these bytes whatever it is asked.

    ``asked`` is to hold what that was.
    """
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        server.listen()
        thread = threading.Thread(target=_serve, args=[server, answer, asked])
        thread.start()
        try:
            yield Daemon(path, timeout=1.0)
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def _serve(
    server: socket.socket, answer: bytes, asked: list[bytes] | None = None
) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:
            return
        with connection:
            # A connection that is only tried is closed at once.
            if request := _request(connection):
                if asked is not None:
                    asked.append(request)
                connection.sendall(answer)
                connection.shutdown(socket.SHUT_WR)
                connection.recv(1)


def _request(connection: socket.socket) -> bytes:
    with connection.makefile("rb") as sent:
        lines = list(iter(sent.readline, b"\r\n")) if sent.peek(1) else []
        length = 0
        for line in lines:
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                length = int(value)
        return b"".join([*lines, b"\r\n", sent.read(length)]) if lines else b""


def http(body: bytes, status: str = "200 OK") -> bytes:
    return (
        f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    ).encode() + body


def test_the_real_daemon(project: Project) -> None:
    with project.replicating() as process:
        daemon = Daemon(project.socket)
        assert daemon.info() == Info(version="0.5.17", pid=process.pid)
        (database,) = daemon.databases()
        assert datetime.fromisoformat(database.last_sync_at)
        assert database == ManagedDatabase(
            path=project.database,
            status="replicating",
            last_sync_at=database.last_sync_at,
        )


def test_nobody(tmp_path: Path) -> None:
    daemon = Daemon(tmp_path / "socket")
    with pytest.raises(DaemonUnavailable, match="No such file or directory"):
        daemon.info()


def test_a_socket_that_was_left_behind(tmp_path: Path) -> None:
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    with pytest.raises(DaemonUnavailable, match="Connection refused"):
        Daemon(path).info()


def test_a_plain_file(tmp_path: Path) -> None:
    (tmp_path / "socket").touch()
    daemon = Daemon(tmp_path / "socket")
    with pytest.raises(DaemonUnavailable, match="Connection refused"):
        daemon.info()


def test_one_that_never_answers(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket"))
        server.listen()
        daemon = Daemon(tmp_path / "socket", timeout=0.3)
        with pytest.raises(DaemonUnavailable, match=r"no answer within 0\.3 s"):
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
        (http(b'{"version": "0.5.17", "pid": true}'), "has no 'pid'"),
        (http(b'{"version": "0.5.17", "pid": -1}'), "has no 'pid'"),
        (http(b"[" * 100_000), "/info gave status 200 and no JSON"),
        (http(b'{"error": "out of order"}', "500 X"), "^out of order$"),
        (http(b'{"error": "out\\nof\\norder"}', "500 X"), "^out of order$"),
        (http(b'{"error": " ", "details": 5}', "500 X"), "^500$"),
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


@pytest.mark.parametrize("txid", ["-1", "9223372036854775808", "true", "1.0"])
def test_a_txid_that_is_none(tmp_path: Path, txid: str) -> None:
    body = f'{{"txid": {txid}, "replicated_txid": 0}}'.encode()
    with (
        answering(tmp_path / "socket", http(body)) as daemon,
        pytest.raises(DaemonError, match="has no 'txid'"),
    ):
        daemon.sync(Path("/srv/db.sqlite3"))


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
    daemon = Daemon(tmp_path / "socket")
    with pytest.raises(DaemonUnavailable, match="no Unix sockets on this system"):
        daemon.info()


def test_a_sync_is_asked_for_by_its_path_alone(tmp_path: Path) -> None:
    """Litestream 0.5.17 loses its lock on the WAL with ``wait`` or ``timeout``."""
    asked: list[bytes] = []
    answer = http(b'{"status": "synced", "txid": 7, "replicated_txid": 3}')
    with answering(tmp_path / "socket", answer, asked) as daemon:
        progress = daemon.sync(Path("/srv/a b.sqlite3"))
    assert progress == Progress(txid=7, replicated_txid=3)
    (request,) = asked
    head, _, body = request.partition(b"\r\n\r\n")
    assert head.startswith(b"POST /sync HTTP/1.1\r\n")
    assert json.loads(body) == {"path": "/srv/a b.sqlite3"}


@linux
def test_a_sync_leaves_the_daemon_its_lock_and_the_backup_whole(
    project: Project,
) -> None:
    """While there is a writer, and with more WAL than Litestream lets be."""
    # Seldom enough that it is not the daemon itself that checkpoints.
    project.litestream["dbs"][0]["monitor-interval"] = "4s"
    project.write_settings()
    ended = threading.Event()
    writer = threading.Thread(target=_write_until, args=[project.database, ended])
    daemon = Daemon(project.socket)
    with project.replicating() as process:
        assert read_locks(process.pid, project.database)
        writer.start()
        try:
            txids = []
            for _ in range(3):
                project.insert(100_000)
                assert wal_pages(project.database) > 1_000
                for _ in range(10):
                    txids.append(daemon.sync(project.database).txid)
                    assert read_locks(process.pid, project.database)
        finally:
            ended.set()
            writer.join()
        # It holds what was committed before, and so does each after it.
        committed = count_rows(project.database)
        txids.append(daemon.sync(project.database).txid)
    assert txids == sorted(txids)
    assert txids[0] < txids[-1]
    assert project.restored_rows() == committed


def _write_until(database: Path, ended: threading.Event) -> None:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        while not ended.wait(0.003):
            with connection:
                connection.execute("INSERT INTO note (text) VALUES ('more')")


def wal_pages(database: Path) -> int:
    size = Path(f"{database}-wal").stat().st_size
    # A header, and with each page one of its own: https://sqlite.org/walformat.html
    return (size - 32) // (24 + 4096)


def test_a_sync_of_what_the_daemon_does_not_have(project: Project) -> None:
    daemon = Daemon(project.socket)
    with (
        project.replicating(),
        pytest.raises(DaemonError, match="database not found"),
    ):
        daemon.sync(project.directory / "other.sqlite3")


@pytest.mark.parametrize(
    ("body", "cut"),
    [
        (
            b'{"active": false, "started_at": "2026-11-28T14:37:16.725378052-06:00"}',
            Cut(
                began_at=datetime.fromisoformat("2026-11-28T20:37:16.725378+00:00"),
                is_over=True,
                error="",
            ),
        ),
        (
            b'{"active": true, "error": "disk\\nfull"}',
            Cut(began_at=None, is_over=False, error="disk full"),
        ),
    ],
)
def test_what_the_daemon_says_of_its_last_cut(
    tmp_path: Path, body: bytes, cut: Cut
) -> None:
    answer = http(b'{"databases": [%b]}' % body)
    with answering(tmp_path / "socket", answer) as daemon:
        assert daemon.last_cut(Path("/srv/db.sqlite3")) == cut


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"3",
        b'{"active": 0}',
        b'{"active": true, "started_at": "yesterday"}',
        b'{"active": true, "started_at": "2026-11-28T14:37:16"}',
        b'{"active": true, "error": {}}',
    ],
)
def test_a_last_cut_that_is_none(tmp_path: Path, body: bytes) -> None:
    answer = http(b'{"databases": [%b]}' % body)
    with (
        answering(tmp_path / "socket", answer) as daemon,
        pytest.raises(DaemonError, match="has no"),
    ):
        daemon.last_cut(Path("/srv/db.sqlite3"))
