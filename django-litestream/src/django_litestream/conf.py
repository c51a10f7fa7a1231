"""``settings.LITESTREAM``, read when it is needed.

Nothing is cached, so ``override_settings`` and a changed dictionary are seen at
once. What is wrong is told in two ways with one text: ``problems()`` lists all
of it for the system checks, and reading a wrong value raises
``ImproperlyConfigured``.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from . import replicas, settings_validation
from .replicas import Replica
from .settings_problems import Problem
from .settings_validation import (
    OPTIONS,
    database_problems,
    expanded,
    option_problems,
    type_problems,
)

# Litestream's own, in seconds.
_COMPACTION_INTERVAL = 30.0
_SYNC_INTERVAL = 1.0


class AppSettings:
    """``settings.LITESTREAM`` with types and defaults.

    Each attribute raises ``ImproperlyConfigured`` where its value is of a wrong
    type; the message names the key and what was expected.
    """

    @property
    def path_prefix(self) -> str:
        """What generated replica paths begin with; empty for nothing."""
        return str(self._read("path_prefix")).strip("/")

    @property
    def bin_path(self) -> Path | None:
        """The Litestream executable to use, ``None`` to look for one."""
        return self._path("bin_path")

    @property
    def vfs_extension_path(self) -> Path | None:
        """The VFS library to use, ``None`` to look for one."""
        return self._path("vfs_extension_path")

    @property
    def offline(self) -> bool:
        """Whether nothing may be downloaded; ``LITESTREAM_OFFLINE=1`` says so too."""
        return bool(self._read("offline")) or os.environ.get(
            "LITESTREAM_OFFLINE", ""
        ).lower() not in {"", "0", "false", "no"}

    @property
    def dbs(self) -> list[dict[str, Any]]:
        """The databases to replicate, each entry a copy of its dictionary."""
        entries = self._read("dbs")
        for index, entry in enumerate(entries):
            _refuse(database_problems(index, entry))
        return [dict(entry) for entry in entries]

    @property
    def vfs(self) -> tuple[Replica, ...]:
        """The read replicas."""
        return replicas.read(self._read("vfs"))

    @property
    def vfs_eager(self) -> bool:
        """Whether the VFS is loaded with the project and not at the first use."""
        return bool(self._read("vfs_eager"))

    @property
    def pin_seconds(self) -> float:
        """How long a client that wrote reads from the primary without a daemon."""
        return replicas.pin_seconds(self._read("vfs"))

    @property
    def compaction_interval(self) -> float:
        """The seconds between two compactions into level 1, which ``levels`` may set."""
        try:
            seconds = replicas.seconds(self.passed_on["levels"][0]["interval"])
        except (LookupError, TypeError):
            return _COMPACTION_INTERVAL
        return seconds if seconds > 0 else _COMPACTION_INTERVAL

    @property
    def longest_sync_interval(self) -> float:
        """The seconds between two uploads, of the database with the longest."""
        intervals = [
            replicas.seconds(replica.get("sync-interval"))
            for entry in (self.passed_on, *self.dbs)
            for replica in (entry, entry.get("replica"), *(entry.get("replicas") or ()))
            if isinstance(replica, dict)
        ]
        return max([_SYNC_INTERVAL, *(one for one in intervals if one > 0)])

    @property
    def passed_on(self) -> dict[str, Any]:
        """The keys that are Litestream's own."""
        return {
            key: value for key, value in _dictionary().items() if key not in OPTIONS
        }

    def _path(self, name: str) -> Path | None:
        value = self._read(name)
        return None if value is None else expanded(value)

    def _read(self, name: str) -> Any:
        value = _dictionary().get(name, OPTIONS[name].default)
        _refuse(option_problems(name, value))
        return value


app_settings = AppSettings()


def problems() -> list[Problem]:
    """Return everything that is wrong in ``settings.LITESTREAM`` by itself.

    Aliases are not looked up here: see ``django_litestream.databases``.
    """
    return list(settings_validation.problems(_setting()))


def _dictionary() -> dict[str, Any]:
    value: dict[str, Any] = _setting()
    _refuse(type_problems(value))
    return value


def _setting() -> Any:
    return getattr(settings, "LITESTREAM", {})


def _refuse(found: Iterable[Problem]) -> None:
    """Raise ``ImproperlyConfigured`` for the first problem, if there is one."""
    for problem in found:
        raise ImproperlyConfigured(problem.message)
