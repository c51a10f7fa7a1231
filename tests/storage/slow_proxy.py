"""A TCP proxy on loopback that is slow, and that can be cut at any byte."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from ..project import PATIENCE

_PIECE = 1 << 14


@dataclass(kw_only=True)
class SlowProxy:
    """Leads ``port`` to ``target_port``.

    Each piece of at most 16 KiB takes ``latency`` seconds, and on top as long as
    ``bytes_per_second`` lets it. Once ``cut_at`` bytes were passed on, in whichever
    direction, all connections are reset and no other is taken.
    """

    port: int
    target_port: int
    latency: float = 0.0
    bytes_per_second: float = float("inf")
    cut_at: int | None = None
    passed_on: int = 0
    is_cut: bool = False
    _writers: list[asyncio.StreamWriter] = field(default_factory=list)
    _is_over: asyncio.Event = field(default_factory=asyncio.Event)
    _connections: asyncio.Server | None = None
    _loop: asyncio.AbstractEventLoop | None = None

    def cut_after(self, more: int) -> None:
        """Be cut after so many ``more`` bytes."""
        self.cut_at = self.passed_on + more

    async def listen(self, is_listening: threading.Event) -> None:
        """Take connections until ``end``."""
        self._connections = await asyncio.start_server(
            self._connected, "127.0.0.1", self.port
        )
        self._loop = asyncio.get_running_loop()
        is_listening.set()
        await self._is_over.wait()
        self._cut()

    def end(self) -> None:
        assert self._loop is not None
        self._loop.call_soon_threadsafe(self._is_over.set)

    def _cut(self) -> None:
        self.is_cut = True
        if self._connections is not None:
            self._connections.close()
        for writer in self._writers:
            writer.transport.abort()

    async def _connected(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        try:
            there = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            writer.transport.abort()
            return
        self._writers += [writer, there[1]]
        with suppress(OSError):
            await asyncio.gather(
                self._pass_on(reader, there[1]), self._pass_on(there[0], writer)
            )
        for ended in (writer, there[1]):
            ended.close()

    async def _pass_on(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        while piece := await reader.read(_PIECE):
            await asyncio.sleep(self.latency + len(piece) / self.bytes_per_second)
            self.passed_on += len(piece)
            if self.cut_at is not None and self.passed_on > self.cut_at:
                self._cut()
                return
            writer.write(piece)
            await writer.drain()
        writer.write_eof()


@contextmanager
def slow_proxy(
    port: int,
    target_port: int,
    *,
    latency: float = 0.0,
    bytes_per_second: float = float("inf"),
) -> Iterator[SlowProxy]:
    """Have a proxy run for the block."""
    proxy = SlowProxy(
        port=port,
        target_port=target_port,
        latency=latency,
        bytes_per_second=bytes_per_second,
    )
    is_listening = threading.Event()
    thread = threading.Thread(target=asyncio.run, args=(proxy.listen(is_listening),))
    thread.start()
    try:
        assert is_listening.wait(PATIENCE)
        yield proxy
    finally:
        proxy.end()
        thread.join()
