"""Whatever stands in the settings, what is wrong with it is told in a line each.

Secrets are of capital letters and stand where Litestream has secrets, at any depth
and in settings of any shape: no message may hold a part of one.
"""

from __future__ import annotations

import io
from contextlib import ExitStack
from datetime import UTC, datetime
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.checks import CheckMessage, run_checks
from django.core.exceptions import ImproperlyConfigured
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings
from hypothesis import assume, example, given
from hypothesis import strategies as st

from django_litestream import config, config_yaml, private_files
from django_litestream.redaction import SECRET_KEYS
from django_litestream.replicas import Replica, get_vfs_databases
from django_litestream.settings_validation import LITESTREAM_KEYS, OPTIONS
from django_litestream.vfs.uri import connection_uri

from ..settings import DATABASES
from .nonsense import json_values, one_line, refusal, scalars, texts
from .routed import databases_are

SECRET = "HIDDEN"

URL_WITH_SECRET = f"s3://key:{SECRET}@bucket/path?sas-token={SECRET}"

# Of Litestream's keys and ours those that something here looks at.
KEYS = sorted(
    {"path", "dir", "replica", "replicas", "url", "type", "socket", "enabled", "exec"}
    | {"pattern", "recursive", "primary", "poll_interval", "cache_size", "hydration"}
    | {"open_timeout", "max_lag_seconds", "pin_seconds", "route", "reports"}
    | OPTIONS.keys()
)
keys = st.one_of(
    st.sampled_from(KEYS), st.sampled_from(sorted(LITESTREAM_KEYS)), texts, scalars
)
values = st.one_of(
    scalars,
    st.sampled_from([*DATABASES, "defalt", "/srv/db.sqlite3", "file://[", "~nobody/x"]),
    st.just(URL_WITH_SECRET),
    st.sampled_from(["5s", "1e9s", "file:///srv", "unix", True, False, 0, 1e20, 1e308]),
    st.builds(Path, texts.filter(lambda text: "\0" not in text)),
    st.sampled_from([b"bytes", Decimal(1), datetime(2020, 1, 1, tzinfo=UTC), {1, 2}]),
)
with_secret = st.dictionaries(
    st.sampled_from(sorted(SECRET_KEYS)),
    st.sampled_from([SECRET, [SECRET], {"a": SECRET}]),
    min_size=1,
    max_size=2,
)
nested = st.recursive(
    st.one_of(values, with_secret),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
    ),
    max_leaves=12,
)
replicas = st.one_of(
    nested,
    st.just(URL_WITH_SECRET),
    st.dictionaries(
        st.sampled_from(["type", "path", "url", "bucket", "password", "sync-interval"]),
        values,
        max_size=3,
    ).map(lambda replica: {**replica, "token": SECRET}),
)
# As it is meant to be, with something in it that is not.
entries = st.fixed_dictionaries(
    {"path": st.one_of(st.sampled_from([*DATABASES]), nested)},
    optional={
        "dir": nested,
        "replica": replicas,
        "replicas": st.one_of(replicas, st.lists(replicas, max_size=2)),
        "pattern": nested,
        "recursive": nested,
    },
)
sockets = st.dictionaries(st.sampled_from(["enabled", "path", "permissions"]), values)
readable = st.fixed_dictionaries(
    {"url": st.one_of(st.just(URL_WITH_SECRET), values)},
    optional=dict.fromkeys(
        ("primary", "poll_interval", "cache_size", "open_timeout", "route"), values
    ),
)
litestreams = st.one_of(
    nested,
    st.fixed_dictionaries(
        {"dbs": st.lists(st.one_of(entries, nested), max_size=3)},
        optional={
            "socket": st.one_of(sockets, nested),
            "vfs": st.dictionaries(keys, st.one_of(readable, nested), max_size=3),
            **dict.fromkeys(("path_prefix", "bin_path", "offline", "logging"), nested),
        },
    ),
)

ENGINES = [
    "django.db.backends.sqlite3",
    "django_litestream.db.backends.sqlite_vfs",
    "django.db.backends.postgresql",
    "no.such.engine",
]
VFS_OPTIONS = [
    f"litestream_{name}"
    for name in ("replica_url", "poll_interval", "cache_size", "open_timeout", "route")
]
databases = st.dictionaries(
    st.sampled_from(["text", "replica", "line\nbreak"]),
    st.fixed_dictionaries(
        {"ENGINE": st.sampled_from(ENGINES)},
        optional={
            "NAME": st.one_of(
                values, st.sampled_from(["file:a.db?vfs=litestream", "", "file:"])
            ),
            "OPTIONS": st.one_of(
                nested, st.dictionaries(st.sampled_from(VFS_OPTIONS), values)
            ),
            "TEST": st.one_of(nested, st.fixed_dictionaries({"MIRROR": values})),
        },
    ),
    max_size=3,
)


def told_by_checks() -> list[CheckMessage]:
    messages = run_checks(tags=["litestream"])
    for message in messages:
        assert SECRET not in one_line(message.msg)
        assert SECRET not in one_line(message.hint)
    return messages


def check_all(litestream: Any) -> None:
    """Check what is told by the system checks, and by ``config``, of the settings."""
    printed, warned = io.StringIO(), io.StringIO()
    with override_settings(LITESTREAM=litestream):
        messages = told_by_checks()
        is_wrong = any(
            message.id in {"litestream.E001", "litestream.E002", "litestream.E003"}
            for message in messages
        )
        print_config = partial(
            call_command, "litestream", "config", stdout=printed, stderr=warned
        )
        if refused := refusal(CommandError, print_config):
            assert SECRET not in refused
            assert printed.getvalue() == ""
            # Without databases to replicate there may be replicas to read.
            assert is_wrong or "names no SQLite database" in refused
            return
        assert not is_wrong
        text = config.build().to_yaml()
    for warning in warned.getvalue().split("Warning: ")[1:]:
        assert SECRET not in one_line(warning.removesuffix("\n"))
    assert SECRET not in printed.getvalue()
    assert yaml.safe_load(text).keys() == yaml.safe_load(printed.getvalue()).keys()


@given(litestreams)
@example({"dbs": [{1: 2, "a": 3}]})
@example({"dbs": [{"path": "\0/x"}]})
@example({"dbs": [{"dir": "\0/x"}]})
@example({"dbs": [{"path": "/\ud800"}]})
@example({"dbs": [{"path": "default", "replicas": 5}]})
@example({"dbs": [{"path": "default", "replicas": "s3://bucket"}]})
@example({"dbs": [{"path": "default", "replica": {"url": 5}}]})
@example({"dbs": [{"path": "default"}], "socket": {"path": None}})
@example({"dbs": [{"path": "default"}], "socket": {"path": 5}})
@example({"dbs": [{"path": "default"}], "socket": {"path": "\ud800"}})
@example({"dbs": [{"path": "default"}], "socket": {"path": "a\nb" * 100}})
@example({"dbs": [{"path": "default"}], "vfs": {"pin_seconds": 10**400}})
@example({"dbs": [], "vfs": {"r": {"url": "s3://a", "poll_interval": 10**400}}})
@example({"dbs": [{"path": "default"}], "bin_path": "~nobody-of-that-name/x"})
@example({"dbs": [{"path": "default"}], "bin_path": "\0\n"})
@example({"dbs": [{"path": "default", "a\nb": {1: 2}}]})
@example({"dbs": [{"path": "default", "a\nb": b""}]})
@example({"dbs": [{"path": "a\nb/c"}, {"path": "a\nb/c"}]})
@example({"dbs": [{"path": "a\nb"}]})
@example({"dbs": {"path": "default", "replica": {"secret-access-key": SECRET}}})
@example({"dbs": [URL_WITH_SECRET]})
@example({"vfs": URL_WITH_SECRET})
@example({"vfs": [URL_WITH_SECRET]})
@example([URL_WITH_SECRET])
@example({"dbs": [{"replica": {"password": SECRET}}, {"path": {"password": SECRET}}]})
@example({"path_prefix": {"password": SECRET}, "dbs": [{"path": "default"}]})
@example({"socket": [{"password": SECRET}], "dbs": [{"path": "default"}]})
@example({"vfs": {"r": {"url": "s3://b", "primary": URL_WITH_SECRET}}})
@example({"vfs": {"r": {"url": "s3://b", "primary": {"password": SECRET}}}})
@example({"dbs": "x" * 100_000})
def test_litestream_of_any_shape(litestream: Any) -> None:
    check_all(litestream)


def test_settings_that_hold_themselves() -> None:
    litestream: dict[str, Any] = {"dbs": [{"path": "default"}]}
    litestream["logging"] = litestream
    check_all(litestream)


@given(databases)
@example({"text": {"ENGINE": ENGINES[0], "NAME": 5}})
@example({"text": {"ENGINE": ENGINES[0], "NAME": b"bytes"}})
@example({"text": {"ENGINE": ENGINES[0], "NAME": "a\0b"}})
@example({"text": {"ENGINE": ENGINES[0], "NAME": "file://["}})
@example({"text": {"ENGINE": ENGINES[0], "NAME": "/\ud800"}})
@example({"replica": {"ENGINE": ENGINES[1], "OPTIONS": 5}})
@example({"replica": {"ENGINE": ENGINES[1], "OPTIONS": [VFS_OPTIONS[0]]}})
@example({"replica": {"ENGINE": ENGINES[1], "OPTIONS": {VFS_OPTIONS[0]: 5}}})
@example(
    {
        "replica": {
            "ENGINE": ENGINES[1],
            "OPTIONS": {VFS_OPTIONS[0]: "s3://b"},
            "TEST": {"MIRROR": ["text"]},
        }
    }
)
def test_databases_of_any_shape(given: Any) -> None:
    # Each alias is replicated, and so looked at.
    dbs = [{"path": alias, "replica": {"path": f"/srv/{alias}"}} for alias in given]
    with ExitStack() as stack:
        try:
            stack.enter_context(databases_are(given))
        except Exception:
            # Django itself has no words for it.
            assume(False)
        check_all({"dbs": [*dbs, {"path": "default"}]})


@given(st.dictionaries(texts, json_values, max_size=5).map(config_yaml.dump))
def test_a_configuration_is_written_whole(
    tmp_path_factory: pytest.TempPathFactory, text: str
) -> None:
    directory = tmp_path_factory.getbasetemp() / "fuzzed-configuration"
    written = private_files.write_configuration(directory, text)
    assert written.read_bytes().decode() == text
    assert written.stat().st_mode & 0o777 == 0o600
    with private_files.temporary_configuration(directory, text) as temporary:
        assert temporary.read_bytes().decode() == text
    assert list(directory.iterdir()) == [written]


@given(st.one_of(nested, st.dictionaries(keys, st.one_of(readable, nested))))
@example([URL_WITH_SECRET])
@example({"r": {"url": "s3://b", "poll_interval": 10**400}})
@example({"r": {"url": "s3://b", "primary": {"password": SECRET}}})
@example({"r": {"url": "s3://b", 1: 2, "a": 3}})
@example({"r": {1: 2, "a": 3}})
def test_replicas_of_any_shape(vfs: Any) -> None:
    """They are read by ``settings.py``."""
    litestream = {"vfs": vfs}
    refused = refusal(ImproperlyConfigured, lambda: get_vfs_databases(litestream))
    assert SECRET not in refused
    if not refused:
        for alias, database in get_vfs_databases(litestream).items():
            replica = Replica.from_database(alias, database)
            # The age of what is polled as it should be comes to an interval.
            assert replica.reopen_after > replica.poll_interval
            assert replica.reopen_after >= min(5.0, replica.poll_interval + 1)
            assert connection_uri(database["NAME"], replica)
