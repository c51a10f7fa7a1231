"""``litestream`` and ``python -m litestream_bin``: become Litestream."""

import os
import signal
import subprocess
import sys
from typing import NoReturn

from . import binary_path


def main() -> NoReturn:
    """Hand the command line, the process and the exit status over to Litestream."""
    try:
        sys.exit(hand_over([str(binary_path()), *sys.argv[1:]]))
    except OSError as error:
        sys.exit(f"litestream: {error}")


def become(command: list[str]) -> NoReturn:
    """Replace this process by ``command``; raises ``OSError`` where it cannot run."""
    # Python ignores these two, and what is ignored stays so across an exec.
    ignored = (signal.SIGPIPE, signal.SIGXFSZ)
    before = [signal.signal(number, signal.SIG_DFL) for number in ignored]
    try:
        os.execv(command[0], command)
    finally:
        # Whoever goes on must not be ended by a connection that is closed.
        for number, handler in zip(ignored, before, strict=True):
            signal.signal(number, handler)


def run(command: list[str]) -> int:
    """Run ``command`` as a child and return its exit status.

    Ctrl-C is the child's business: it ends by itself once it has synced. Raises
    ``OSError`` where it cannot run.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    return subprocess.call(command)


# Windows has no exec that keeps the process.
hand_over = run if os.name == "nt" else become

if __name__ == "__main__":
    main()
