"""Standard output kept to what Python prints, while it is printing."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from .project import PATIENCE, linux

# A thread that wakes up gets the interpreter where another has begun to write.
_SWAPS = 40
_SCRIPT = f"""\
import os, sys, threading, time
from django_litestream.vfs.standard_output import keep_the_log_out

done = threading.Event()

def swap_and_swap_back():
    raw = getattr(sys.stdout.buffer, "raw", sys.stdout.buffer)
    for _ in range({_SWAPS}):
        time.sleep(0.001)
        keep_the_log_out()
        time.sleep(0.001)
        kept = raw.fileno()
        assert kept != 1
        os.dup2(kept, 1)
        raw.__init__(1, "wb", closefd=False)
    done.set()

threading.Thread(target=swap_and_swap_back).start()
number = 0
while not done.is_set():
    sys.stdout.write(f"{{number}}\\n")
    number += 1
"""


@linux
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_what_another_thread_prints_gets_there(unbuffered: str) -> None:
    run = subprocess.run(
        [sys.executable, "-c", _SCRIPT],
        env={**os.environ, "PYTHONUNBUFFERED": unbuffered},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert run.returncode == 0
    assert run.stderr == ""
    numbers = [int(line) for line in run.stdout.splitlines()]
    assert numbers == list(range(len(numbers)))
