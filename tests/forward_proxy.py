"""A real HTTP proxy on loopback, for plain requests and for tunnels."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

from .release_server import in_background


@dataclass(kw_only=True)
class Proxy:
    """Leads the names of hosts to ports of this machine; keeps what it was asked for.

    It answers ``refusal`` instead, if that is set.
    """

    url: str
    ports: Mapping[str, int]
    refusal: int | None = None
    asked: list[str] = field(default_factory=list)


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    proxy: Proxy


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_GET(self) -> None:
        target = urlsplit(self.path)
        if not self._accepts(target.hostname):
            return
        port = self.server.proxy.ports[target.hostname or ""]
        upstream = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        upstream.request("GET", target.path)
        answer = upstream.getresponse()
        body = answer.read()
        self.send_response(answer.status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
        upstream.close()

    def do_CONNECT(self) -> None:
        host = self.path.partition(":")[0]
        if not self._accepts(host):
            return
        with socket.create_connection(
            ("127.0.0.1", self.server.proxy.ports[host])
        ) as upstream:
            self.send_response(200)
            self.end_headers()
            back = threading.Thread(target=_pass_on, args=(upstream, self.connection))
            back.start()
            _pass_on(self.connection, upstream)
            back.join()
        self.close_connection = True

    def _accepts(self, host: str | None) -> bool:
        proxy = self.server.proxy
        proxy.asked.append(f"{self.command} {host}")
        if proxy.refusal:
            self.send_response(proxy.refusal)
            self.send_header("Content-Length", "0")
            self.end_headers()
        return proxy.refusal is None

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests look at ``asked``."""


def _pass_on(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while piece := source.recv(1 << 16):
            target.sendall(piece)
    with suppress(OSError):
        target.shutdown(socket.SHUT_WR)


@contextmanager
def proxying(**ports: int) -> Iterator[Proxy]:
    """Yield a running proxy; ``ports`` are those of hosts called NAME.invalid."""
    with _Listener(("127.0.0.1", 0), _Handler) as listener:
        listener.proxy = Proxy(
            url=f"http://127.0.0.1:{listener.server_port}",
            ports={f"{name}.invalid": port for name, port in ports.items()},
        )
        with in_background(listener):
            yield listener.proxy
