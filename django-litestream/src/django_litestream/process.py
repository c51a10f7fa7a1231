"""Running the Litestream executable: in this process's place or as its child.

What differs between POSIX and Windows in starting and stopping processes is here.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from types import FrameType
from typing import IO, NoReturn

CAN_BECOME = os.name == "posix"

# What CPython ignores in its own process and a Go program must not inherit.
_IGNORED_BY_PYTHON = ("SIGPIPE", "SIGXFZ", "SIGXFSZ")

# The exit status that a shell sees then.
_ENDED_BY_SIGPIPE = 128 + 13

_BUNDLE = "AWS_CA_BUNDLE"
# Where it is meanwhile, for what Litestream starts.
_KEPT_BUNDLE = "DJANGO_LITESTREAM_AWS_CA_BUNDLE"


def environment(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for Litestream.

    Litestream's S3 client refuses to start where ``AWS_CA_BUNDLE`` is set. Go
    reads the same bundle from ``SSL_CERT_FILE``. See ``environment_below``.
    """
    passed_on = dict(environ)
    bundle = passed_on.pop(_BUNDLE, "")
    if bundle:
        passed_on.setdefault("SSL_CERT_FILE", bundle)
        passed_on[_KEPT_BUNDLE] = bundle
    return passed_on


def environment_below(environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Return the environment for what Litestream starts, from that of Litestream."""
    passed_on = dict(environ)
    if bundle := passed_on.pop(_KEPT_BUNDLE, ""):
        passed_on[_BUNDLE] = bundle
    return passed_on


def become(words: Sequence[str], environ: Mapping[str, str]) -> NoReturn:
    """Replace this process by the executable ``words[0]`` (POSIX only).

    Raises ``OSError`` where it cannot be executed.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    before = {
        number: signal.signal(number, signal.SIG_DFL)
        for name in _IGNORED_BY_PYTHON
        if (number := getattr(signal, name, None))
    }
    try:
        os.execve(words[0], list(words), dict(environ))
    finally:
        # Whoever goes on must not be ended by a connection that is closed.
        for number, handler in before.items():
            signal.signal(number, handler)


def run(
    words: Sequence[str],
    environ: Mapping[str, str],
    *,
    out: Callable[[str], object],
    err: Callable[[str], object],
    timeout: float | None = None,
    inherited: Collection[int] = (),
) -> int:
    """Run the executable ``words[0]`` to its end and return its exit status.

    Each line it prints goes to ``out`` or ``err`` as it comes, its end included.
    A signal that asks this process to stop reaches the child first. ``inherited`` are the
    descriptors that the child is to have too (POSIX only). Raises
    ``OSError`` where it cannot be executed, ``subprocess.TimeoutExpired`` where it has
    been killed after ``timeout`` seconds, and whatever ``out`` raises.
    """
    is_late = threading.Event()
    with subprocess.Popen(
        words,
        env=dict(environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        pass_fds=inherited,
    ) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        with _stopping_with(child):
            errors = threading.Thread(target=_pass_on, args=(child.stderr, err))
            errors.start()
            with _killed_after(timeout, child, is_late):
                try:
                    _pass_on(child.stdout, out)
                except BaseException:
                    child.kill()
                    raise
                errors.join()
                status = child.wait()
    if timeout and is_late.is_set():
        raise subprocess.TimeoutExpired(list(words), timeout)
    return status


@contextmanager
def _killed_after(
    timeout: float | None, child: subprocess.Popen[str], is_late: threading.Event
) -> Iterator[None]:
    def kill() -> None:
        is_late.set()
        child.kill()

    if timeout is None:
        yield
        return
    timer = threading.Timer(timeout, kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def _pass_on(stream: IO[str], write: Callable[[str], object]) -> None:
    for line in stream:
        write(line)


def end_cleanly_at_signals() -> None:
    """Turn the signals that end a process into ``SystemExit``.

    Temporary files are then removed on the way out. A signal that this process was
    started to ignore, as ``nohup`` has it, stays ignored.
    """

    def leave(number: int, frame: FrameType | None) -> NoReturn:
        raise SystemExit(128 + number)

    for name in ("SIGINT", "SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        if number and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, leave)


@contextmanager
def ending_with_its_reader() -> Iterator[None]:
    """End this process as a Unix command ends where nobody reads what it prints."""
    try:
        yield
        sys.stdout.flush()
    except BrokenPipeError:
        # Or else Python says at its end that what is left could not be written.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise SystemExit(_ENDED_BY_SIGPIPE) from None


@contextmanager
def _stopping_with(child: subprocess.Popen[str]) -> Iterator[None]:
    """Let ``child`` end in its own way at SIGTERM and Ctrl-C, then obey them too.

    A terminal sends Ctrl-C to the child itself, and a second signal would make
    Litestream skip its last sync.
    """
    received: list[int] = []

    def pass_on(number: int, frame: FrameType | None) -> None:
        received.append(number)
        if number != signal.SIGINT:
            child.terminate()

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {
        number: signal.signal(number, pass_on)
        for number in (signal.SIGTERM, signal.SIGINT)
    }
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if received:
        if before[signal.Signals(received[0])] is signal.SIG_DFL:
            # What the caller has to clean up would be left behind.
            raise SystemExit(128 + received[0])
        signal.raise_signal(received[0])
