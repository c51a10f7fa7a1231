"""A process of its own that hands databases over and becomes Litestream::

    python -m django_litestream.handing_over \\
        DIRECTORY SOCKET DATABASE METADATA ... -- LITESTREAM ...

What calls for it has the databases open, maybe, or must go on when Litestream runs. The
locks on them are those of the process: what calls may run several in its threads, and may
be killed while Litestream goes on.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from typing import NoReturn

from . import process
from .errors import LitestreamError
from .one_daemon import Claim, only_one
from .reasons import explain_os_error
from .restarted_wal import hand_over

_SEPARATOR = "--"


def handing_over(claim: Claim) -> list[str]:
    """Return the words before those of Litestream; see ``restarted_wal.hand_over``."""
    project = (str(path or "") for path in (claim.private_directory, claim.socket))
    places = map(os.fspath, chain.from_iterable(claim.metadata.items()))
    module = handing_over.__module__
    return [sys.executable, "-m", module, *project, *places, _SEPARATOR]


def main(*words: str) -> None:
    """Hand over, then become Litestream; what is wrong is said in its way."""
    separator = words.index(_SEPARATOR)
    directory, socket, *places = words[:separator]
    databases = map(Path, places[::2])
    claim = Claim(
        private_directory=Path(directory) if directory else None,
        socket=Path(socket) if socket else None,
        metadata=dict(zip(databases, map(Path, places[1::2]), strict=True)),
    )
    try:
        with only_one(claim):
            for database, metadata in claim.metadata.items():
                hand_over(database, metadata)
            _become(words[separator + 1 :])
    except LitestreamError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:
        sys.exit(f"Error: {explain_os_error(error)}")


def _become(words: Sequence[str]) -> NoReturn:
    try:
        process.become(words, os.environ)
    except OSError as error:
        sys.exit(f"Error: Litestream cannot be executed: {error.strerror}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
