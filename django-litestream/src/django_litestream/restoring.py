"""One restore to a path at a time.

Litestream 0.5.17 restores to ``PATH.tmp``, which it makes empty whoever else writes to it.
Of two restores one then fails and the other ends with success, while at the path is a
file that is not whole yet, or that for ever has pages of two moments.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from .errors import RestoreRunning
from .locking import exclusive_with_children
from .subcommands import is_url


@contextmanager
def only_one_restore(arguments: Sequence[str]) -> Iterator[tuple[int, ...]]:
    """Have no other process in this block that restores to the same path.

    ``arguments`` are the words of any subcommand. Gives the descriptors that the child
    which runs them has to inherit: where this process is killed, the child restores on,
    and nobody else may until it has ended. Raises ``RestoreRunning`` where somebody does.
    """
    target = _target_of(arguments)
    # Passing descriptors on is POSIX's. What is wrong with a path is Litestream's to say.
    if target is None or os.name != "posix" or not os.access(target.parent, os.W_OK):
        yield ()
        return
    with exclusive_with_children(target.with_name(f"{target.name}.restoring")) as lock:
        if lock is None:
            raise RestoreRunning(
                f"Another process restores to {target}: wait until it has ended, or "
                "restore elsewhere with -o PATH."
            )
        yield (lock,)


def _target_of(arguments: Sequence[str]) -> Path | None:
    """Return the path that is restored to, ``None`` where nothing is."""
    subcommand, *words = arguments
    if subcommand != "restore" or "-dry-run" in words or not words:
        return None
    written = words[words.index("-o") + 1] if "-o" in words[:-1] else words[-1]
    target = Path(written)
    is_kept = os.path.exists(target) and target.stat().st_size and "-force" not in words
    return None if is_url(written) or is_kept else target
