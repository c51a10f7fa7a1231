"""``settings.LITESTREAM`` translated to Litestream's YAML configuration."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.functional import Promise

from . import conf, databases, private_files
from .conf import app_settings
from .configuration import Configuration
from .databases import Database
from .directories import Directory
from .errors import ConfigurationError, NotASQLiteFile
from .litestream_paths import expanded
from .references import EnvironmentReference
from .replica_places import Place, place_of
from .settings_problems import at, in_line, shown, wrong

# Per key of a generated replica the variables that may hold its value, the
# first that is set being the one that is named.
_BUCKET = ("LITESTREAM_REPLICA_BUCKET", "AWS_BUCKET")
_ACCESS_KEY_ID = ("LITESTREAM_ACCESS_KEY_ID", "AWS_ACCESS_KEY_ID")
_SECRET_ACCESS_KEY = ("LITESTREAM_SECRET_ACCESS_KEY", "AWS_SECRET_ACCESS_KEY")


def build(environ: Mapping[str, str] = os.environ) -> Configuration:
    """Translate the settings; touch nothing.

    ``environ`` decides which variables generated replicas refer to. Raises
    ``ImproperlyConfigured`` for a value of a wrong type, ``UnknownDatabase`` for
    an alias that does not exist, ``NotASQLiteFile`` for a database in memory,
    ``ConfigurationError`` where nothing is left to replicate, two entries would share
    one replica or one database, or Litestream would open another file.
    """
    for problem in conf.problems():
        if f"litestream.{problem.id}" not in settings.SILENCED_SYSTEM_CHECKS:
            raise ImproperlyConfigured(problem.message)
    entries: list[dict[str, Any]] = []
    found: list[Database] = []
    directories: list[Path] = []
    left_out: list[str] = []
    for index, written in enumerate(app_settings.dbs):
        entry: dict[str, Any] = _plain(written, f"settings.LITESTREAM['dbs'][{index}]")
        for key in ("path", "dir"):
            if not entry.get(key):
                entry.pop(key, None)
        if "dir" in entry:
            path = databases.absolute(entry["dir"])
            entry["dir"] = str(path)
            directories.append(path)
            label = str(path)
        else:
            try:
                database = databases.find(written["path"])
            except NotASQLiteFile as error:
                if error.in_memory:
                    raise
                left_out.append(f"{error} It is left out.")
                continue
            path, label = database.path, database.label
            entry["path"] = str(path)
            found.append(database)
        databases.refuse_misread(path)
        for key in ("meta-path", "meta-dir"):
            if place := entry.pop(key, None):
                entry[key] = str(expanded(place))
        if "replica" not in entry and "replicas" not in entry:
            entry["replica"] = _s3_replica(path, environ)
        _refuse_sharing(entries, entry, label)
        entries.append(entry)
    if not entries:
        raise ConfigurationError(
            " ".join(
                [
                    *left_out,
                    "settings.LITESTREAM['dbs'] names no SQLite database: "
                    "give it one, such as [{'path': 'default'}].",
                ]
            )
        )
    _refuse_in_directory(entries)
    mapping: dict[str, Any] = _plain(app_settings.passed_on, "settings.LITESTREAM")
    private_directory = private_files.directory(
        found[0].path if found else directories[0]
    )
    mapping["socket"] = _socket(mapping.get("socket"), private_directory)
    mapping["dbs"] = entries
    return Configuration(
        mapping=mapping,
        databases=tuple(found),
        directories=tuple(directories),
        left_out=tuple(left_out),
        private_directory=private_directory,
    )


def unset_references(
    configuration: Configuration, environ: Mapping[str, str] = os.environ
) -> str:
    """Return what a generated replica cannot do without and ``environ`` lacks.

    Keys may be missing (Litestream then asks for the instance's role), the bucket
    may not. Empty where nothing is missing.
    """
    needed = configuration.references & set(_BUCKET)
    return "" if all(map(environ.get, needed)) else " or ".join(_BUCKET)


def _s3_replica(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    prefix = app_settings.path_prefix
    return {
        "type": "s3",
        "bucket": _reference(_BUCKET, environ),
        "path": f"{prefix}/{path.name}" if prefix else path.name,
        "access-key-id": _reference(_ACCESS_KEY_ID, environ),
        "secret-access-key": _reference(_SECRET_ACCESS_KEY, environ),
    }


def _reference(
    names: tuple[str, ...], environ: Mapping[str, str]
) -> EnvironmentReference:
    return EnvironmentReference(
        next((name for name in names if environ.get(name)), names[-1])
    )


def _refuse_sharing(
    entries: list[dict[str, Any]], entry: dict[str, Any], label: str
) -> None:
    """Refuse what makes two databases overwrite each other's backup."""
    places = _places(entry)
    for other in entries:
        other_label = other.get("path") or other["dir"]
        if "path" in entry and other.get("path") == entry["path"]:
            raise ConfigurationError(
                f"settings.LITESTREAM['dbs'] names {in_line(entry['path'])} twice: "
                "remove one of the two."
            )
        for place in places & _places(other):
            label = in_line(entry.get("path") or label)
            raise ConfigurationError(
                f"{in_line(other_label)} and {label} would share the replica path "
                f"{shown(place.path)} and destroy each other's "
                "backup: give one of them in settings.LITESTREAM['dbs'] a 'replica' of "
                "its own."
            )


def _refuse_in_directory(entries: list[dict[str, Any]]) -> None:
    """Refuse what Litestream would open twice, by its path and in a directory.

    Two of its databases then write the same files of what it knows of the one.
    """
    directories = [Directory.of(entry) for entry in entries if "dir" in entry]
    for entry in entries:
        for directory in directories:
            if "path" in entry and directory.covers(Path(entry["path"])):
                raise ConfigurationError(
                    f"{in_line(entry['path'])} is in settings.LITESTREAM['dbs'] by its "
                    f"path and by the 'dir' {in_line(directory.path)} whose 'pattern' it "
                    "matches: remove the one, or have the other not match."
                )


def _places(entry: dict[str, Any]) -> set[Place]:
    replicas = (entry.get("replica"), *(entry.get("replicas") or ()))
    return {place_of(replica) for replica in replicas if replica}


def _socket(value: Any, private_directory: Path) -> dict[str, Any]:
    socket = {
        "enabled": True,
        "path": str(private_files.socket_path(private_directory)),
        **(value or {}),
    }
    if len(os.fsencode(socket["path"])) > private_files.SOCKET_PATH_BYTES:
        raise ImproperlyConfigured(
            f"settings.LITESTREAM['socket']['path'] is longer than the "
            f"{private_files.SOCKET_PATH_BYTES} bytes that a Unix socket's path may "
            f"have: {shown(socket['path'])}."
        )
    return socket


def _plain(value: Any, where: str) -> Any:
    """Return ``value`` made of what YAML knows: dict, list, str, numbers, None."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item, at(where, key)) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item, at(where, index)) for index, item in enumerate(value)]
    if isinstance(value, str | Path | Promise):
        return str(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    expected = "text, a number, a list or a dictionary"
    raise ImproperlyConfigured(wrong(where, expected, str(type(value))).message)
