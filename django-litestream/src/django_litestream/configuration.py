"""A Litestream configuration and what it covers."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import databases
from .databases import Database
from .directories import Directory
from .errors import ConfigurationError
from .redaction import redacted
from .references import references_in
from .settings_problems import in_line, is_text, quoted

_URL = re.compile(
    r"(?P<host>(?:[^/?#]+://[^/?#]*)?)(?P<path>[^?#]*)(?P<rest>.*)", re.DOTALL
)


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """What Litestream is told, and what it was made from.

    ``mapping`` is the content of the YAML file, ``databases`` the single files
    in it in the order of the settings, ``directories`` those of Litestream's
    ``dir`` form, ``left_out`` a sentence for each entry that is not in it.
    ``private_directory`` is where this project's files for Litestream are kept.
    """

    mapping: dict[str, Any]
    databases: tuple[Database, ...]
    directories: tuple[Path, ...]
    left_out: tuple[str, ...]
    private_directory: Path

    @property
    def references(self) -> frozenset[str]:
        """The environment variables that Litestream must expand."""
        return frozenset(str(name) for name in references_in(self.mapping))

    @property
    def socket(self) -> Path | None:
        """The daemon's control socket, ``None`` where it is switched off."""
        socket = self.mapping["socket"]
        return Path(socket["path"]) if socket.get("enabled") else None

    @property
    def replica_types(self) -> frozenset[str]:
        """What kinds of storage the replicas are in, by Litestream's names of them."""
        replicas = (
            replica
            for entry in self.mapping["dbs"]
            for replica in (entry.get("replica"), *(entry.get("replicas") or ()))
            if replica
        )
        return frozenset(
            replica.get("type") or (replica.get("url") or "").partition(":")[0]
            for replica in replicas
        )

    def to_yaml(self, *, show_secrets: bool = True) -> str:
        """Return the text of the file; without ``show_secrets`` to be looked at."""
        # PyYAML takes long, and few commands of a project write the file.
        from . import config_yaml

        return config_yaml.dump(
            self.mapping if show_secrets else redacted(self.mapping)
        )

    def require(self, database: Database) -> None:
        """Raise ``ConfigurationError`` unless ``database`` is configured."""
        if self._names(database) or self._directory_of(database):
            return
        labels = (one.label for one in self.databases)
        configured = [*labels, *map(str, self.directories)]
        raise ConfigurationError(
            f"{in_line(database.label)} is not in settings.LITESTREAM['dbs'], which "
            f"has {', '.join(map(in_line, configured))}: add it there."
        )

    def directory_files(self) -> list[Database]:
        """Return the databases that are in the directories now.

        Raises ``ConfigurationError`` for a pattern that no file can be found by, and
        for a file that Litestream would take for another one.
        """
        return [Database(path=path) for path in self._in_directories()]

    def refuse_shared(self) -> None:
        """Raise ``ConfigurationError`` for a database that is in two directories.

        Litestream would open it twice, and as ``directory_files`` does.
        """
        # All files are looked at for it, and there may be many.
        if len(self.directories) < 2:
            return
        found: dict[Path, Path] = {}
        for path, directory in self._by_directory():
            if path in found:
                raise ConfigurationError(
                    f"{in_line(path)} is found by two entries of "
                    f"settings.LITESTREAM['dbs'], those of {in_line(found[path])} and "
                    f"{in_line(directory.path)}: correct a 'dir' or 'pattern'."
                )
            found[path] = directory.path

    def not_found(self) -> list[str]:
        """Return a sentence for each directory whose databases are not all found.

        Raises ``ConfigurationError`` for a pattern that no file can be found by.
        """
        entries = (entry for entry in self.mapping["dbs"] if entry.get("dir"))
        return [
            sentence
            for entry in entries
            for sentence in _not_found(Directory.of(entry))
        ]

    def metadata(self) -> dict[Path, Path]:
        """Return where Litestream keeps what it knows of each database.

        Raises ``ConfigurationError`` as ``directory_files`` does.
        """
        places = {
            path: directory.metadata(path)
            for path, directory in self._in_directories().items()
        }
        for entry in self.mapping["dbs"]:
            if path := entry.get("path"):
                meta_path = entry.get("meta-path")
                places[Path(path)] = Path(meta_path) if meta_path else None
        return {
            path: place or databases.metadata_beside(path)
            for path, place in places.items()
        }

    def naming(self, database: Database) -> Configuration:
        """Return a configuration in which ``database`` has an entry of its own.

        ``replicate`` puts the files of a directory each below the directory's
        replica; ``restore`` and ``ltx`` know no file that is not named. Raises
        ``ConfigurationError`` for one that cannot be.
        """
        directory = self._directory_of(database)
        if directory is None or self._names(database):
            return self
        replicas = directory.get("replicas") or [directory.get("replica")]
        if not replicas[0]:
            raise ConfigurationError(
                f"{in_line(directory['dir'])} has no replica: give it a 'replica' in "
                "settings.LITESTREAM['dbs']."
            )
        relative = database.path.relative_to(directory["dir"]).as_posix()
        if not is_text(relative):
            raise ConfigurationError(
                f"{quoted(database.path)} cannot be named to Litestream, which reads "
                "its configuration as UTF-8: give the file another name."
            )
        entry = {"path": str(database.path), "replica": _below(replicas[0], relative)}
        # `reset` removes what is in it.
        if metadata := Directory.of(directory).metadata(database.path):
            entry["meta-path"] = str(metadata)
        return replace(
            self,
            mapping={**self.mapping, "dbs": [entry, *self.mapping["dbs"]]},
            databases=(database, *self.databases),
        )

    def _names(self, database: Database) -> bool:
        return any(one.path == database.path for one in self.databases)

    def _in_directories(self) -> dict[Path, Directory]:
        found: dict[Path, Directory] = {}
        for path, directory in self._by_directory():
            databases.refuse_misread(path)
            found.setdefault(path, directory)
        return found

    def _by_directory(self) -> Iterator[tuple[Path, Directory]]:
        for entry in self.mapping["dbs"]:
            if entry.get("dir"):
                directory = Directory.of(entry)
                for path in directory.files():
                    if databases.is_wal(path) is not None:
                        yield path, directory

    def _directory_of(self, database: Database) -> dict[str, Any] | None:
        entries: list[dict[str, Any]] = [
            entry
            for entry in self.mapping["dbs"]
            if "dir" in entry and database.path.is_relative_to(entry["dir"])
        ]
        # Of two with the same directory, each has a replica of its own.
        covering = (
            entry for entry in entries if Directory.of(entry).covers(database.path)
        )
        return next(covering, entries[0] if entries else None)


def _not_found(directory: Directory) -> Iterator[str]:
    missed: list[OSError] = []
    files = directory.files(missed.append)
    unread = [path for path in files if not os.access(path, os.R_OK)]
    reasons = {
        **{str(error.filename): error.strerror for error in missed},
        **{str(path): "this user may not" for path in unread},
    }
    for path, reason in reasons.items():
        yield (
            f"{in_line(path)} cannot be read ({reason}): correct the 'dir' in "
            "settings.LITESTREAM['dbs'], mount it, or let this user read it."
        )
    if not reasons and not any(databases.is_wal(path) is not None for path in files):
        yield (
            f"There is no SQLite database in {in_line(directory.path)} whose name "
            f"matches {quoted(directory.pattern)}: correct the 'dir' or its 'pattern' "
            "in settings.LITESTREAM['dbs'], or mount it."
        )


def _below(replica: dict[str, Any], relative: str) -> dict[str, Any]:
    if url := replica.get("url"):
        # Python's urlsplit refuses a password with a [ in it.
        parts = _URL.fullmatch(url)
        assert parts is not None
        path = f"{parts['path'].rstrip('/')}/{quote(relative)}"
        return {**replica, "url": f"{parts['host']}{path}{parts['rest']}"}
    path = (replica.get("path") or "").rstrip("/")
    return {**replica, "path": f"{path}/{relative}"}
