"""What may sit on a control socket in a daemon's place."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum
from itertools import chain, repeat
from pathlib import Path


class Ending(Enum):
    """What comes after the last piece of an answer."""

    CLOSE = "close"
    SILENCE = "silence"
    ENDLESS = "the last piece again and again"


@dataclass(frozen=True)
class Answer:
    """An answer in pieces, with a pause (seconds) before each."""

    pieces: tuple[bytes, ...]
    pause: float = 0.0
    ending: Ending = Ending.CLOSE

    @classmethod
    def drop_by_drop(cls, answer: bytes, pause: float) -> Answer:
        """Give ``answer`` byte by byte, and its last byte for ever."""
        pieces = tuple(bytes([byte]) for byte in answer)
        return cls(pieces, pause, Ending.ENDLESS)

    def all_pieces(self) -> Iterator[bytes]:
        if self.ending is Ending.ENDLESS:
            return chain(self.pieces, repeat(self.pieces[-1]))
        return iter(self.pieces)


class FalseDaemon:
    """Answers each request on a Unix socket with ``answer``, whatever it asks."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answer = Answer(())
        self._talks: list[_Talk] = []
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(path))
        self._server.listen()
        self._serving = threading.Thread(target=self._serve)
        self._serving.start()

    def hang_up(self) -> None:
        """Close the connections there are, in the middle of an answer too."""
        talks, self._talks = self._talks, []
        for talk in talks:
            talk.end()

    def end(self) -> None:
        self._server.shutdown(socket.SHUT_RDWR)
        self._serving.join()
        self._server.close()
        self.hang_up()

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._server.accept()
            except OSError:
                return
            self._talks.append(_Talk(connection, self.answer))


class _Talk:
    """A connection on which an answer is given, in a thread of its own."""

    def __init__(self, connection: socket.socket, answer: Answer) -> None:
        self._connection = connection
        self._answer = answer
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._give)
        self._thread.start()

    def end(self) -> None:
        self._is_over.set()
        with suppress(OSError):
            self._connection.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _give(self) -> None:
        with self._connection, suppress(OSError):
            # A connection that is only tried is closed at once.
            if not self._connection.recv(65_536):
                return
            for piece in self._answer.all_pieces():
                if self._answer.pause and self._is_over.wait(self._answer.pause):
                    return
                self._connection.sendall(piece)
            if self._answer.ending is Ending.SILENCE:
                self._is_over.wait()


@contextmanager
def false_daemon(path: Path) -> Iterator[FalseDaemon]:
    """Have something sit on a control socket for the block."""
    daemon = FalseDaemon(path)
    try:
        yield daemon
    finally:
        daemon.end()
