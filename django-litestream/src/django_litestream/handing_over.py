"""A process of its own that hands databases over and becomes Litestream::

    python -m django_litestream.handing_over DATABASE METADATA ... -- LITESTREAM ...

What calls for it has the databases open, maybe, or must go on when Litestream runs.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from itertools import chain
from pathlib import Path

from . import process
from .errors import ConfigurationError
from .restarted_wal import hand_over

_SEPARATOR = "--"


def handing_over(opened: Mapping[Path, Path]) -> list[str]:
    """Return the words before those of Litestream; see ``restarted_wal.hand_over``."""
    places = map(os.fspath, chain.from_iterable(opened.items()))
    return [sys.executable, "-m", handing_over.__module__, *places, _SEPARATOR]


def main(*words: str) -> None:
    """Hand over, then become Litestream; what is wrong is said in its way."""
    places = words[: words.index(_SEPARATOR)]
    try:
        for database, metadata in zip(places[::2], places[1::2], strict=True):
            hand_over(Path(database), Path(metadata))
        process.become(words[len(places) + 1 :], os.environ)
    except ConfigurationError as error:
        sys.exit(f"Error: {error}")
    except OSError as error:
        sys.exit(f"Error: Litestream cannot be executed: {error.strerror}.")


if __name__ == "__main__":
    main(*sys.argv[1:])
