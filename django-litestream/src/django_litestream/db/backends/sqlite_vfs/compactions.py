"""What Litestream has compacted into a replica's first level.

A connection through the VFS of Litestream 0.5.17 polls level 0, where each commit comes
first, and level 1, where commits come again once they are compacted. What comes to level
1 covers what the connection has of the same pages, newer commits included, until the
next compaction (https://github.com/benbjohnson/litestream/pull/1478). Of a row that is on
such a page and one that is not it then shows two different moments.
"""

from __future__ import annotations

import math
import os
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Protocol
from urllib.parse import quote, urlsplit

from ....conf import app_settings
from ....errors import ListingFailed
from ....txids import parse_txid
from ....vfs.listing import list_files

# Litestream compacts at whole multiples of a level's interval, by Go's count of time from
# the year 1 on. What comes of it is looked for more often for a while, and is not risked
# for as long as it usually takes to come and to be seen.
_YEAR_1 = -62_135_596_800
_SOUGHT_FOR = 3.0
_RISKED_AFTER = 1.5
_AHEAD = 0.5

# Seconds between two listings.
_PAUSE = 1.0
_PAUSE_WHILE_SOUGHT = 0.2

# How long a listing may take, and for how long nobody has to ask for one that listing
# ends, in seconds.
_LONGEST_LISTING = 5.0
_IDLE = 60.0

# How far apart two times of a directory may be where one follows the other, in
# nanoseconds: those of FAT are two seconds.
_LONGEST_TICK = 2 * 10**9


class Compactions(Protocol):
    """The compactions of a replica.

    ``newest`` is the TXID of the newest transaction in its level 1, zero where there
    is none. ``age`` tells how many seconds ago that was true, ``listed_at`` the moment
    of the monotonic clock at which it was, infinite where it is whenever one asks, and
    ``is_expected`` whether the next one may come before it is seen here, by the clock;
    none takes long. ``look`` makes ``newest`` true now, and may.
    """

    @property
    def newest(self) -> int: ...

    @property
    def age(self) -> float: ...

    @property
    def listed_at(self) -> float: ...

    def is_expected(self, poll_interval: float) -> bool: ...

    def look(self) -> None: ...


class InDirectory:
    """The compactions of a ``file`` replica, which is looked at whenever one asks."""

    age = 0.0
    listed_at = math.inf

    def __init__(self, directory: Path) -> None:
        self._directory = directory / "ltx" / "1"
        self._changed = 0
        self._newest = 0

    @property
    def newest(self) -> int:
        try:
            changed = self._directory.stat().st_mtime_ns
            if changed != self._changed:
                names = os.listdir(self._directory)
                self._newest = max(map(_last_txid, names), default=0)
                # A file may have been renamed since, in the same tick of that clock.
                is_settled = abs(time.time_ns() - changed) > _LONGEST_TICK
                self._changed = changed if is_settled else 0
        except FileNotFoundError:
            # Nothing was compacted yet, or there is no such replica.
            self._newest = self._changed = 0
        except OSError:
            # Nothing is polled from there either.
            pass
        return self._newest

    def is_expected(self, poll_interval: float) -> bool:
        return False

    def look(self) -> None:
        pass


class InStorage:
    """The compactions of another replica, listed by a thread while somebody asks."""

    def __init__(self, url: str) -> None:
        self._url = url
        self._newest = 0
        self._listed_at = -math.inf
        self._asked_at = 0.0
        self._lister: threading.Thread | None = None
        self._changing = threading.Lock()

    @property
    def newest(self) -> int:
        self._asked_at = time.monotonic()
        if self._lister is None:
            self._start()
        return self._newest

    @property
    def age(self) -> float:
        return time.monotonic() - self._listed_at

    @property
    def listed_at(self) -> float:
        return self._listed_at

    def is_expected(self, poll_interval: float) -> bool:
        return _since_due(ahead=_AHEAD) < poll_interval + _RISKED_AFTER

    def look(self) -> None:
        began = time.monotonic()
        try:
            files = list_files(self._url, _LONGEST_LISTING, level="1")
        except ListingFailed:
            # Nothing is polled from a storage that cannot be listed either.
            return
        with self._changing:
            if began > self._listed_at:
                self._newest = max((file.max_txid for file in files), default=0)
                self._listed_at = began

    def _start(self) -> None:
        with self._changing:
            if self._lister is None:
                self._lister = threading.Thread(
                    target=self._go_on_listing,
                    name="litestream-compactions",
                    daemon=True,
                )
                self._lister.start()

    def _go_on_listing(self) -> None:
        while time.monotonic() - self._asked_at < _IDLE:
            self.look()
            is_sought = _since_due() < _SOUGHT_FOR
            time.sleep(_PAUSE_WHILE_SOUGHT if is_sought else _PAUSE)
        with self._changing:
            self._lister = None


# By the replica's URL, in this process: the threads are not in a child of it.
_known: dict[str, Compactions] = {}


def compactions(url: str) -> Compactions:
    """Return the compactions of the replica at ``url``."""
    if url not in _known:
        _known.setdefault(url, _compactions(url))
    return _known[url]


def _compactions(url: str) -> Compactions:
    # What is no URL can be listed no more than it can be opened.
    with suppress(ValueError):
        parts = urlsplit(url)
        if parts.scheme == "file":
            # Litestream's directory is named as the path is written in a URL.
            return InDirectory(Path(quote(parts.path, safe="/%!$&'()*+,:;=@~")))
    return InStorage(url)


def _since_due(ahead: float = 0.0) -> float:
    """Return the seconds since a compaction was due, less than zero ``ahead`` of one."""
    interval = app_settings.compaction_interval
    return (time.time() - _YEAR_1 + ahead) % interval - ahead


def _last_txid(name: str) -> int:
    """Return the last TXID of an LTX file's name, zero for any other name."""
    stem, _, suffix = name.partition(".")
    try:
        return parse_txid(stem.partition("-")[2]) if suffix == "ltx" else 0
    except ValueError:
        return 0


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_known.clear)
