"""``settings.LITESTREAM``: what may stand in it, read when it is needed.

Nothing is cached, so ``override_settings`` and a changed dictionary are seen at
once. What is wrong is found in two ways with one text: ``problems()`` lists all
of it for the system checks, and reading a wrong value raises
``ImproperlyConfigured``.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from . import replicas
from .replicas import Replica
from .settings_problems import Problem, wrong_value

# The keys of Litestream 0.5.17's configuration at any depth, as its binary names
# them. Another key is passed on as it is, unless it looks like one misspelt:
# Litestream ignores a key it does not know without a word.
LITESTREAM_KEYS = frozenset(
    """
    access-key-id account-key account-name addr age auto-recover bucket busy-timeout
    checkpoint-interval client-cert client-key concurrency concurrent-writes creds
    dbs dir enabled endpoint exec force-path-style heartbeat-interval heartbeat-url
    host host-key identities interval jwt key-path l0-retention
    l0-retention-check-interval level levels logging max-reconnects
    max-sync-ltx-files max-sync-wal-bytes mcp-addr meta-dir meta-path
    min-checkpoint-page-count monitor-interval name nkey part-size password path
    pattern permissions recipients reconnect-wait recursive region replica replicas
    require-content-md5 restore-if-db-not-exists retention root-cas sas-token
    secret-access-key seed shutdown-sync-interval shutdown-sync-timeout
    sign-accept-encoding sign-payload skip-verify snapshot socket source
    sse-customer-algorithm sse-customer-key sse-customer-key-path sse-kms-key-id
    stderr storage-class sync-interval timeout tls token truncate-page-n type url
    user username validation validation-interval verify-compaction watch
    webdav-password webdav-url webdav-username
    """.split()  # noqa: SIM905
)


@dataclass(frozen=True, kw_only=True)
class Option:
    """One of this package's own keys of ``settings.LITESTREAM``."""

    types: tuple[type, ...]
    expected: str
    default: Any = None


OPTIONS: Mapping[str, Option] = {
    "path_prefix": Option(types=(str,), expected="a string", default=""),
    "bin_path": Option(types=(str, Path), expected="a path"),
    "vfs_extension_path": Option(types=(str, Path), expected="a path"),
    "offline": Option(types=(bool,), expected="True or False", default=False),
    "dbs": Option(
        types=(list, tuple),
        expected="a list of dictionaries such as [{'path': 'default'}]",
        default=(),
    ),
    "vfs": Option(types=(dict,), expected=replicas.EXPECTED, default={}),
    "vfs_eager": Option(types=(bool,), expected="True or False", default=False),
}


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
            for problem in _entry_problems(index, entry):
                raise ImproperlyConfigured(problem.message)
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
    def passed_on(self) -> dict[str, Any]:
        """The keys that are Litestream's own."""
        return {
            key: value for key, value in _dictionary().items() if key not in OPTIONS
        }

    def _path(self, name: str) -> Path | None:
        value = self._read(name)
        return None if value is None else Path(value).expanduser()

    def _read(self, name: str) -> Any:
        option = OPTIONS[name]
        value = _dictionary().get(name, option.default)
        if value is not option.default and not isinstance(value, option.types):
            raise ImproperlyConfigured(_type_problem(name, value).message)
        return value


app_settings = AppSettings()


def problems() -> list[Problem]:
    """Return everything that is wrong in ``settings.LITESTREAM`` by itself.

    Aliases are not looked up here: see ``django_litestream.databases``.
    """
    try:
        dictionary = _dictionary()
    except ImproperlyConfigured as error:
        return [Problem(id="E001", message=str(error), hint="Make it a dictionary.")]
    found = [
        _type_problem(name, dictionary[name])
        for name, option in OPTIONS.items()
        if name in dictionary
        and dictionary[name] is not option.default
        and not isinstance(dictionary[name], option.types)
    ]
    if isinstance(entries := dictionary.get("dbs", ()), list | tuple):
        for index, entry in enumerate(entries):
            found.extend(_entry_problems(index, entry))
    if isinstance(vfs := dictionary.get("vfs", {}), dict):
        found.extend(replicas.problems(vfs))
    found.extend(_key_problems(dictionary))
    return found


def _dictionary() -> dict[str, Any]:
    value = getattr(settings, "LITESTREAM", {})
    if not isinstance(value, dict):
        raise ImproperlyConfigured(
            "settings.LITESTREAM is improperly configured: expected a dictionary, "
            f"got {value!r}."
        )
    return value


def _type_problem(name: str, value: Any) -> Problem:
    where = f"settings.LITESTREAM['{name}']"
    return wrong_value(where, OPTIONS[name].expected, value)


def _entry_problems(index: int, entry: Any) -> Iterator[Problem]:
    where = f"settings.LITESTREAM['dbs'][{index}]"

    if not isinstance(entry, dict):
        yield wrong_value(where, "a dictionary such as {'path': 'default'}", entry)
        return
    if not entry.get("path") and not entry.get("dir"):
        yield wrong_value(
            where, "a 'path' (a database alias or a path) or a 'dir'", sorted(entry)
        )
    for key in ("path", "dir"):
        if entry.get(key) and not isinstance(entry[key], str | Path):
            place = f"{where}['{key}']"
            yield wrong_value(place, "a database alias or a path", entry[key])
    if not isinstance(replica := entry.get("replica", {}), dict):
        # The value may be a URL with a password in it.
        yield wrong_value(
            f"{where}['replica']",
            "a dictionary such as {'url': 's3://bucket/path'}",
            type(replica),
        )


def _key_problems(value: Any, where: str = "settings.LITESTREAM") -> Iterator[Problem]:
    """Find keys that are one of Litestream's or ours, misspelt."""
    if isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _key_problems(item, f"{where}[{index}]")
    if not isinstance(value, dict):
        return
    at_top = where == "settings.LITESTREAM"
    known = LITESTREAM_KEYS | OPTIONS.keys() if at_top else LITESTREAM_KEYS
    for key, item in value.items():
        if at_top and key == "vfs":
            continue
        if not isinstance(key, str):
            yield Problem(
                id="E002",
                message=f"{where} has the key {key!r}, which is not a string.",
                hint="Litestream's keys are strings.",
            )
        elif key not in known and (meant := _meant(key, known)):
            yield Problem(
                id="E002",
                message=f"{where} has the unknown key '{key}': did you mean '{meant}'?",
                hint="Litestream ignores keys that it does not know. If this one is "
                "right, add 'litestream.E002' to SILENCED_SYSTEM_CHECKS.",
            )
        else:
            yield from _key_problems(item, f"{where}['{key}']")


def _meant(key: str, known: frozenset[str]) -> str | None:
    spellings = {name.replace("_", "-"): name for name in known}
    close = get_close_matches(key.lower().replace("_", "-"), spellings, n=1, cutoff=0.8)
    return spellings[close[0]] if close else None
