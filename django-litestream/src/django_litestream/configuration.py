"""A Litestream configuration and what it covers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from . import config_yaml, databases
from .databases import Database
from .errors import ConfigurationError
from .redaction import redacted
from .references import references_in
from .settings_problems import in_line

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
    def uses_s3(self) -> bool:
        """Whether a replica is on S3."""
        replicas = (
            replica
            for entry in self.mapping["dbs"]
            for replica in (entry.get("replica"), *(entry.get("replicas") or ()))
            if replica
        )
        return any(
            replica.get("type") == "s3" or (replica.get("url") or "").startswith("s3:")
            for replica in replicas
        )

    def to_yaml(self, *, show_secrets: bool = True) -> str:
        """Return the text of the file; without ``show_secrets`` to be looked at."""
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
            f"has {', '.join(map(in_line, configured))}: add it "
            "there."
        )

    def directory_files(self) -> list[Database]:
        """Return the databases that are in the directories now."""
        found: dict[Path, Database] = {}
        for entry in self.mapping["dbs"]:
            if directory := entry.get("dir"):
                search = Path.rglob if entry.get("recursive") else Path.glob
                for path in sorted(
                    search(Path(directory), entry.get("pattern") or "*")
                ):
                    if databases.is_wal(path) is not None:
                        found[path] = Database(path=path)
        return list(found.values())

    def naming(self, database: Database) -> Configuration:
        """Return a configuration in which ``database`` has an entry of its own.

        ``replicate`` puts the files of a directory each below the directory's
        replica; ``restore`` and ``ltx`` know no file that is not named.
        """
        directory = self._directory_of(database)
        if directory is None or self._names(database):
            return self
        replicas = directory.get("replicas") or [directory.get("replica")]
        relative = database.path.relative_to(directory["dir"]).as_posix()
        entry = {"path": str(database.path), "replica": _below(replicas[0], relative)}
        return replace(
            self,
            mapping={**self.mapping, "dbs": [entry, *self.mapping["dbs"]]},
            databases=(database, *self.databases),
        )

    def _names(self, database: Database) -> bool:
        return any(one.path == database.path for one in self.databases)

    def _directory_of(self, database: Database) -> dict[str, Any] | None:
        entries: list[dict[str, Any]] = self.mapping["dbs"]
        return next(
            (
                entry
                for entry in entries
                if "dir" in entry and database.path.is_relative_to(entry["dir"])
            ),
            None,
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
