"""The line that somebody at a terminal sees, and nobody else."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from django_litestream.progress import on_terminal

from .downloads import GOOD, ROW, assert_in_place, command
from .project import PATIENCE
from .release_server import Answer, serving


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_the_line_is_written_over_and_gone_at_the_end() -> None:
    terminal = Terminal()
    with on_terminal("a.tar.gz", terminal) as report:
        report(500_000, 12_000_000)
        report(1_000_000, 12_000_000)  # too soon after the first
        report(12_000_000, 12_000_000)
    first, last = "a.tar.gz: 0.5 of 12.0 MB (4%)", "a.tar.gz: 12.0 of 12.0 MB (100%)"
    assert terminal.getvalue() == f"\r{first}\r{last}\r{' ' * len(last)}\r"


def test_a_shorter_line_leaves_nothing_of_the_longer() -> None:
    terminal = Terminal()
    with on_terminal("a", terminal) as report:
        report(2_000_000, 2_000_000)
        report(0, 0)
    assert "\ra: 2.0 of 2.0 MB (100%)\ra: 0.0 MB              \ra: 0.0 MB\r" in (
        terminal.getvalue()
    )


def test_a_length_that_nobody_knows() -> None:
    terminal = Terminal()
    with on_terminal("a", terminal) as report:
        report(2_600_000, None)
    assert terminal.getvalue().startswith("\ra: 2.6 MB\r")


def test_a_failure_leaves_no_line() -> None:
    terminal = Terminal()
    with suppress(KeyError), on_terminal("a", terminal) as report:
        report(2_600_000, None)
        raise KeyError
    assert terminal.getvalue().endswith("\ra: 2.6 MB\r         \r")


@pytest.mark.parametrize("stream", [None, io.StringIO()])
def test_no_terminal(stream: io.StringIO | None) -> None:
    with on_terminal("a", stream) as report:
        report(1, 2)
    assert stream is None or stream.getvalue() == ""


@pytest.mark.skipif(os.name == "nt", reason="has no pseudo-terminals")
@pytest.mark.parametrize("columns", [80, 20])
def test_a_real_terminal(tmp_path: Path, columns: int) -> None:
    import fcntl
    import pty
    import struct
    import termios

    destination = tmp_path / "new" / "litestream"
    controller, terminal = pty.openpty()
    size = struct.pack("HHHH", 24, columns, 0, 0)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)
    with serving() as server:
        server.says(Answer(body=GOOD))
        subprocess.run(
            command(server.url, destination),
            stdin=subprocess.DEVNULL,
            stderr=terminal,
            check=True,
            timeout=PATIENCE,
        )
    os.close(terminal)
    shown = b""
    # Linux says of a terminal that nobody has open any more that it is broken.
    try:
        while piece := os.read(controller, 1 << 16):
            shown += piece
    except OSError:
        assert sys.platform == "linux"
    os.close(controller)
    lines = shown.decode().split("\r")
    whole = f"{ROW.asset}: 0.2 of 0.2 MB (100%)"
    assert whole[: columns - 1] in lines
    assert max(map(len, lines)) < columns
    assert "\n" not in shown.decode()
    assert lines[-2:] == [" " * len(whole[: columns - 1]), ""]
    assert_in_place(destination)
