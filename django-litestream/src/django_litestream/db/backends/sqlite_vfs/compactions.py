"""What Litestream has compacted into a replica's first level.

A connection through the VFS of Litestream 0.5.17 polls level 0, where each commit comes
first, and level 1, where commits come again once they are compacted. What comes to level
1 covers what the connection has of the same pages, newer commits included, until the
next compaction (https://github.com/benbjohnson/litestream/pull/1478).
"""

from __future__ import annotations

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from ....txids import parse_txid

# By the directory of a level: when it was changed, and its newest transaction then.
_known: dict[Path, tuple[int, int]] = {}


def newest_compacted(url: str) -> int:
    """Return the TXID of the newest transaction in level 1 of the replica at ``url``.

    Zero where there is none, and for every storage but ``file``: to list another one
    takes too long for what must not wait.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme != "file":
            return 0
        directory = Path(unquote(parts.path), "ltx", "1")
        changed = directory.stat().st_mtime_ns
        known, newest = _known.get(directory, (0, 0))
        if changed != known:
            newest = max(map(_last_txid, os.listdir(directory)), default=0)
            _known[directory] = changed, newest
    except (OSError, ValueError):
        # No such directory, or nothing that can be the name of one.
        return 0
    return newest


def _last_txid(name: str) -> int:
    """Return the last TXID of an LTX file's name, zero for any other name."""
    stem, _, suffix = name.partition(".")
    try:
        return parse_txid(stem.partition("-")[2]) if suffix == "ltx" else 0
    except ValueError:
        return 0
