"""Litestream's ``dir`` form of an entry: the files found by it, and what is kept of them."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from .errors import ConfigurationError
from .settings_problems import in_line, quoted

# What a pattern is made of (https://pkg.go.dev/path/filepath#Match).
_TOKEN = re.compile(
    r"""
    (?P<any>\*) | (?P<one>\?)
    | \[ (?P<without>\^?) (?P<set>(?:\\.|[^]\\])+) \]
    | \\(?P<escaped>.) | (?P<itself>[^[\\\0/])
    """,
    re.DOTALL | re.VERBOSE,
)
_ANY = ".*"
_OF_SET = re.compile(r"\\(?P<escaped>.)|(?P<itself>.)", re.DOTALL)

# What is locked in the directory in which Litestream keeps what it knows of a database.
LOCK_NAME = "replicate.lock"
# What is after a database's name in that of its wal-index.
_WAL_INDEX = "-shm"


@dataclass(frozen=True, kw_only=True)
class Directory:
    """Where Litestream looks for databases, and by what pattern of their names.

    ``meta_path`` and ``meta_dir`` are where it keeps what it knows of them, in names
    of two forms; neither is set where that is beside each database.
    """

    path: Path
    pattern: str
    recursive: bool
    meta_path: Path | None = None
    meta_dir: Path | None = None

    @classmethod
    def of(cls, entry: Mapping[str, Any]) -> Self:
        """Return the directory of an entry of ``dbs``, whose paths are absolute."""
        meta_path, meta_dir = entry.get("meta-path"), entry.get("meta-dir")
        return cls(
            path=Path(entry["dir"]),
            pattern=entry.get("pattern") or "*",
            recursive=bool(entry.get("recursive")),
            meta_path=Path(meta_path) if meta_path else None,
            meta_dir=Path(meta_dir) if meta_dir else None,
        )

    def files(self, missed: Callable[[OSError], None] | None = None) -> list[Path]:
        """Return what Litestream looks at, to find out whether it is a database.

        ``missed`` is given each error by which a directory cannot be looked into.
        Raises ``ConfigurationError`` for a pattern that no file can be found by.
        """
        matches = self._matches()
        found: list[Path] = []
        for place, below, names in os.walk(self.path, onerror=missed):
            found += [Path(place, name) for name in names if matches(name)]
            if not self.recursive:
                below.clear()
        return sorted(found)

    def covers(self, path: Path) -> bool:
        """Whether Litestream looks at a file, if there is one at ``path``.

        Raises ``ConfigurationError`` as ``files`` does.
        """
        looked_into = path.parents if self.recursive else [path.parent]
        return self.path in looked_into and bool(self._matches()(path.name))

    def metadata(self, path: Path) -> Path | None:
        """Return where Litestream keeps what it knows of a database in this directory.

        ``None`` where that is beside the database.
        """
        relative = path.relative_to(self.path)
        if self.meta_dir:
            return self.meta_dir / relative.with_name(f"{path.name}-litestream")
        if self.meta_path:
            return self.meta_path / relative.with_name(f".{path.name}-litestream")
        return None

    def _matches(self) -> Callable[[str], object]:
        try:
            return _matcher(self.pattern)
        except (re.error, ValueError) as error:
            raise ConfigurationError(
                f"The 'pattern' {quoted(self.pattern)} of {in_line(self.path)} in "
                "settings.LITESTREAM['dbs'] finds no file: make it one such as '*.db'."
            ) from error


def may_unlock(pattern: str) -> bool:
    """Whether Litestream may open by a pattern what this process has locked for it.

    It opens all that match, to find out what they are, and closes them again: its process,
    which this one becomes, then has no lock on them any more. Such are the wal-index of a
    database and ``LOCK_NAME``.
    """
    try:
        if _matcher(pattern)(LOCK_NAME):
            return True
        parts = list(_expressions(pattern))
    except (re.error, ValueError):
        # By this one nothing is opened.
        return False
    if _ANY not in parts:
        return False
    # All before the last `*` may be the name of a database.
    last = parts[len(parts) - parts[::-1].index(_ANY) :][-len(_WAL_INDEX) :]
    ending = _WAL_INDEX[len(_WAL_INDEX) - len(last) :]
    return bool(re.fullmatch("".join(last), ending))


def _matcher(pattern: str) -> Callable[[str], object]:
    # Of a name, ``.`` may be a line break too.
    return re.compile("".join(_expressions(pattern)), re.DOTALL).fullmatch


def _expressions(pattern: str) -> Iterator[str]:
    """Yield a regular expression for each part of a pattern.

    Raises ``ValueError`` where there is a part that can be in no name.
    """
    end = 0
    while end < len(pattern):
        token = _TOKEN.match(pattern, end)
        if token is None:
            raise ValueError(pattern)
        end = token.end()
        match token.lastgroup:
            case "any":
                yield _ANY
            case "one":
                yield "."
            case "set":
                yield f"[{token['without']}{_OF_SET.sub(_in_set, token['set'])}]"
            case _:
                yield re.escape(token["escaped"] or token["itself"])


def _in_set(token: re.Match[str]) -> str:
    is_range = token["itself"] == "-"
    return "-" if is_range else re.escape(token["escaped"] or token["itself"])
