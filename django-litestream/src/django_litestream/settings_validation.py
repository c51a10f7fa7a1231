"""What may stand in ``settings.LITESTREAM``, and what is wrong with what does.

Nothing is read here, and aliases are not looked up: see ``conf`` and ``databases``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from django.utils.functional import Promise

from . import replicas
from .directories import may_unlock
from .settings_problems import (
    Problem,
    at,
    is_path,
    is_text,
    names,
    shown,
    wrong,
    wrong_value,
)

_WHERE = "settings.LITESTREAM"
# Litestream's own configuration has five levels.
_DEEPEST = 20
# More than a floating-point number has.
_LONGEST_NUMBER_BITS = 1024

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


def problems(value: Any) -> Iterator[Problem]:
    """Find everything that is wrong in ``value`` as ``settings.LITESTREAM``."""
    if not isinstance(value, dict):
        yield from type_problems(value)
        return
    for name in OPTIONS:
        if name in value:
            yield from option_problems(name, value[name])
    if isinstance(entries := value.get("dbs", ()), list | tuple):
        for index, entry in enumerate(entries):
            yield from database_problems(index, entry)
    if isinstance(vfs := value.get("vfs", {}), dict):
        yield from replicas.problems(vfs)
    yield from _socket_problems(value.get("socket"))
    yield from _problems_within(value)


def type_problems(value: Any) -> Iterator[Problem]:
    """Find out whether ``value`` is a dictionary, as ``settings.LITESTREAM`` must be."""
    if not isinstance(value, dict):
        yield wrong_value(_WHERE, "a dictionary", value)


def option_problems(name: str, value: Any) -> Iterator[Problem]:
    """Find what is wrong with the value of one of ``OPTIONS``."""
    option = OPTIONS[name]
    if value is option.default:
        return
    if not isinstance(value, option.types) or (
        Path in option.types and expanded(value) is None
    ):
        yield wrong_value(at(_WHERE, name), option.expected, value)


def expanded(value: Any) -> Path | None:
    """Return the path of a file that can be run or loaded, ``None`` if it is none."""
    if not is_path(value) or not str(value).isprintable():
        return None
    try:
        return Path(value).expanduser()
    except RuntimeError:
        # There is no such user.
        return None


def database_problems(index: int, entry: Any) -> Iterator[Problem]:
    """Find what is wrong with an entry of ``dbs``."""
    where = at(f"{_WHERE}['dbs']", index)
    if not isinstance(entry, dict):
        yield wrong_value(where, "a dictionary such as {'path': 'default'}", entry)
        return
    if bool(entry.get("path")) == bool(entry.get("dir")):
        expected = "either a 'path' (a database alias or a path) or a 'dir'"
        yield wrong(where, expected, names(entry))
    for key in ("path", "dir"):
        if entry.get(key) and not is_path(entry[key]):
            yield wrong_value(at(where, key), "a database alias or a path", entry[key])
    for key in ("meta-path", "meta-dir"):
        if entry.get(key) and not is_path(entry[key]):
            yield wrong_value(at(where, key), "a path", entry[key])
    yield from _pattern_problems(where, entry)
    if "replica" in entry:
        yield from _replica_problems(at(where, "replica"), entry["replica"])
    place, several = at(where, "replicas"), entry.get("replicas") or ()
    if isinstance(several, list | tuple):
        for number, replica in enumerate(several):
            yield from _replica_problems(at(place, number), replica)
    else:
        yield wrong(place, "a list", str(type(several)))


def _pattern_problems(where: str, entry: Mapping[Any, Any]) -> Iterator[Problem]:
    yield from (text_problems := list(_text_problems(where, entry, ("pattern",))))
    if text_problems or not (pattern := entry.get("pattern")):
        return
    if may_unlock(str(pattern)):
        expected = (
            "a pattern such as '*.db' or '*.sqlite3' that matches no '-shm' file "
            "(Litestream would open that too, and let go of the lock on it which keeps "
            "commits)"
        )
        yield wrong_value(at(where, "pattern"), expected, pattern)


def _replica_problems(where: str, replica: Any) -> Iterator[Problem]:
    if isinstance(replica, dict):
        yield from _text_problems(where, replica, ("type", "url", "path"))
        return
    # The value may be a URL with a password in it.
    expected = "a dictionary such as {'url': 's3://bucket/path'}"
    yield wrong(where, expected, str(type(replica)))


def _socket_problems(socket: Any) -> Iterator[Problem]:
    where = f"{_WHERE}['socket']"
    if socket is None:
        return
    if not isinstance(socket, dict):
        expected = "a dictionary such as {'enabled': True, 'path': '...'}"
        yield wrong_value(where, expected, socket)
    elif "path" in socket and not is_path(socket["path"]):
        yield wrong_value(at(where, "path"), "a path", socket["path"])


def _text_problems(
    where: str, dictionary: Mapping[Any, Any], keys: Iterable[str]
) -> Iterator[Problem]:
    for key in keys:
        if not isinstance(value := dictionary.get(key), str | Path | Promise | None):
            yield wrong_value(at(where, key), "text", value)


def _problems_within(
    value: Any, where: str = _WHERE, around: tuple[int, ...] = ()
) -> Iterator[Problem]:
    """Find what Litestream cannot be told, and keys that are misspelt.

    ``around`` are the identities of what ``value`` is in.
    """
    if isinstance(value, str | Path) and not is_text(str(value)):
        yield wrong_value(where, "text that UTF-8 can hold", value)
    if isinstance(value, int) and value.bit_length() > _LONGEST_NUMBER_BITS:
        yield wrong_value(where, "a number that Litestream can read", value)
    if not isinstance(value, Mapping | list | tuple):
        return
    if id(value) in around or len(around) == _DEEPEST:
        yield wrong(where, f"what is not in itself, nor in {_DEEPEST} others")
        return
    around = (*around, id(value))
    if not isinstance(value, Mapping):
        for index, item in enumerate(value):
            yield from _problems_within(item, at(where, index), around)
        return
    at_top = where == _WHERE
    known = LITESTREAM_KEYS | OPTIONS.keys() if at_top else LITESTREAM_KEYS
    for key, item in value.items():
        if at_top and key == "vfs":
            # Its keys are aliases and ours, and Litestream is not told of them.
            continue
        if problem := _key_problem(where, key, known):
            yield problem
        else:
            yield from _problems_within(item, at(where, key), around)


def _key_problem(where: str, key: Any, known: frozenset[str]) -> Problem | None:
    if not isinstance(key, str):
        return Problem(
            id="E002",
            message=f"{where} has the key {shown(key)}, which is not a string.",
            hint="Litestream's keys are strings.",
        )
    if not is_text(key):
        return wrong_value(where, "keys that UTF-8 can hold", key)
    if key in known or (meant := _meant(key, known)) is None:
        return None
    return Problem(
        id="E002",
        message=f"{where} has the unknown key {shown(key)}: did you mean '{meant}'?",
        hint="Litestream ignores keys that it does not know. If this one is right, add "
        "'litestream.E002' to SILENCED_SYSTEM_CHECKS.",
    )


def _meant(key: str, known: frozenset[str]) -> str | None:
    spellings = {name.replace("_", "-"): name for name in known}
    close = get_close_matches(key.lower().replace("_", "-"), spellings, n=1, cutoff=0.8)
    return spellings[close[0]] if close else None
