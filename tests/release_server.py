"""Release archives, and a real HTTP server on loopback that hands them out."""

from __future__ import annotations

import io
import ssl
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from socketserver import BaseServer
from typing import Any, Literal


def tar_gz(**members: bytes) -> bytes:
    """Return a ``.tar.gz`` with the given files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as package:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def zipped(**members: bytes) -> bytes:
    """Return a zip with the given files."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as package:
        for name, content in members.items():
            package.writestr(name, content)
    return buffer.getvalue()


@dataclass(frozen=True, kw_only=True)
class Answer:
    """What the server says; it promises ``length`` bytes, by default those it sends.

    Without a promise (``-1``) the body ends with the connection. One that ``drips``
    begins with a header, or a body, of which a byte comes every twentieth of a second.
    """

    status: int = 200
    body: bytes = b""
    length: int | None = None
    location: str | None = None
    stalls: bool = False
    drips: Literal["header", "body"] | None = None


@dataclass(kw_only=True)
class ReleaseServer:
    """Gives each of its answers once, the last for ever; keeps the paths asked for."""

    url: str
    port: int
    answers: list[Answer] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def says(self, *answers: Answer) -> None:
        """Set the answers to come."""
        self.answers[:] = answers

    def next_answer(self, path: str) -> Answer:
        """Return the answer to a request for ``path``."""
        self.asked.append(path)
        return self.answers[0] if len(self.answers) == 1 else self.answers.pop(0)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    release: ReleaseServer

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients leave in mid-answer, as the tests have them do."""


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        release = self.server.release
        answer = release.next_answer(self.path)
        length = len(answer.body) if answer.length is None else answer.length
        self.send_response(answer.status)
        if length >= 0:
            self.send_header("Content-Length", str(length))
        if answer.location:
            self.send_header("Location", answer.location)
        if answer.drips == "header":
            self.flush_headers()
            self._drip(b"X-Endless: ")
        self.end_headers()
        if answer.drips == "body":
            self._drip(answer.body)
        self.wfile.write(answer.body)
        if answer.stalls:
            release.closing.wait()

    def _drip(self, beginning: bytes) -> None:
        self.wfile.write(beginning)
        while not self.server.release.closing.wait(0.05):
            self.wfile.write(b"x")

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests look at ``asked``."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[ReleaseServer]:
    """Yield a running server, which speaks TLS where a context is given."""
    with _Listener(("127.0.0.1", 0), _Handler) as listener:
        scheme = "http"
        if tls is not None:
            scheme = "https"
            listener.socket = tls.wrap_socket(
                listener.socket, server_side=True, do_handshake_on_connect=False
            )
        release = ReleaseServer(
            url=f"{scheme}://127.0.0.1:{listener.server_port}/v1",
            port=listener.server_port,
        )
        listener.release = release
        with in_background(listener):
            try:
                yield release
            finally:
                release.closing.set()


@contextmanager
def in_background(listener: BaseServer) -> Iterator[None]:
    """Have ``listener`` serve in a thread for the block."""
    thread = threading.Thread(target=listener.serve_forever, args=(0.01,))
    thread.start()
    try:
        yield
    finally:
        listener.shutdown()
        thread.join()
