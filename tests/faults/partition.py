"""A network between Litestream and its storage that can be cut."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress

_CHUNK = 1 << 16


class Partition:
    """Forwards TCP connections to a port of this machine, until it is cut.

    While it is cut nothing goes through and nobody is told: connections are taken
    and stay silent, as where packets are dropped.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listening = socket.create_server(("127.0.0.1", 0))
        self._passes = threading.Event()
        self._passes.set()
        self._is_over = False
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def port(self) -> int:
        port: int = self._listening.getsockname()[1]
        return port

    def cut(self) -> None:
        self._passes.clear()

    def heal(self) -> None:
        self._passes.set()

    def close(self) -> None:
        self._is_over = True
        self.heal()
        # A thread that waits in accept() does not see that its socket is closed.
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()

    def _accept(self) -> None:
        while not self._is_over:
            try:
                client, _ = self._listening.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        self._passes.wait()
        with (
            closing(client),
            suppress(OSError),
            socket.create_connection(("127.0.0.1", self._target)) as server,
        ):
            back = threading.Thread(
                target=self._forward, args=(server, client), daemon=True
            )
            back.start()
            self._forward(client, server)
            back.join()

    def _forward(self, source: socket.socket, target: socket.socket) -> None:
        with suppress(OSError):
            while data := source.recv(_CHUNK):
                self._passes.wait()
                target.sendall(data)
        for one in (source, target):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)


@contextmanager
def partition_before(port: int) -> Iterator[Partition]:
    """Have connections to ``port`` go through a partition for the block."""
    partition = Partition(port)
    try:
        yield partition
    finally:
        partition.close()
