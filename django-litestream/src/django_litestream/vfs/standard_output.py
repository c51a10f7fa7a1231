"""The VFS's log kept out of what a command prints.

It goes to file descriptor 1, unless ``LITESTREAM_LOG_FILE`` was in the environment when
the process started. Where that is another place than standard error, descriptor 1 is
made to be standard error, and Python's ``sys.stdout`` goes on to where it went before.
A child process that is to write there is given ``stdout=sys.stdout``.
"""

from __future__ import annotations

import io
import os
import sys
import time

from .environment import initial_environment

_LOG_FILE = "LITESTREAM_LOG_FILE"
_STDOUT, _STDERR = 1, 2

# Seconds; to get from Python into the system call takes a thousandth of this.
_BEGUN_WRITE = 0.05


def keep_the_log_out() -> None:
    """Have what is written to descriptor 1, but not by Python, go to standard error."""
    if (initial_environment() or os.environ).get(_LOG_FILE):
        return
    text = sys.__stdout__
    buffer = getattr(text, "buffer", None)
    # With PYTHONUNBUFFERED there is none between the text and the file.
    raw = getattr(buffer, "raw", buffer)
    try:
        if (
            text is None
            or not isinstance(raw, io.FileIO)
            or raw.fileno() != _STDOUT
            or os.path.sameopenfile(_STDOUT, _STDERR)
        ):
            return
    except (OSError, ValueError):
        # One of the two is closed.
        return
    kept = os.dup(_STDOUT)
    # The object stays the one that a command already holds.
    raw.__init__(kept, "wb", closefd=False)  # type: ignore[misc]
    # What another thread has begun to write to descriptor 1 must get there first. The
    # buffer's lock waits for that; without a buffer there is nothing to wait for.
    text.flush()
    if raw is buffer:
        time.sleep(_BEGUN_WRITE)
    os.dup2(_STDERR, _STDOUT)
