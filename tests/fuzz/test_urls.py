"""Whatever a replica's URL is, what reads it says so in a line and shows no secret."""

from __future__ import annotations

import re
from pathlib import Path
from unittest import mock
from urllib.parse import parse_qsl, unquote

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from django_litestream import config, daemon
from django_litestream.databases import Database
from django_litestream.db.backends.sqlite_vfs.compactions import (
    InDirectory,
    compactions,
)
from django_litestream.errors import LitestreamError
from django_litestream.replicas import Replica, get_vfs_databases
from django_litestream.settings_problems import is_text
from django_litestream.vfs import diagnosis
from django_litestream.vfs.uri import connection_uri, is_vfs_name

from .nonsense import one_line, refusal, texts

SECRET = "HIDDEN"
REFUSED = (LitestreamError, ImproperlyConfigured)

schemes = st.sampled_from(["s3", "gs", "abs", "sftp", "nats", "webdav", "oss", "x"])
urls = st.one_of(
    st.builds("{}://{}".format, schemes, texts),
    st.builds("{}://user:HIDDEN{}@{}/p".format, schemes, texts, texts),
    st.builds("{}://host:{}/p".format, schemes, texts),
    st.builds("s3://bucket/path?endpoint={}&password=HIDDEN{}".format, texts, texts),
    st.builds("file://{}".format, texts),
)
# What Go's ``time.ParseDuration`` takes.
go_duration = re.compile(r"(\d+(\.\d*)?|\.\d+)(ns|us|ms|s|m|h)")


@given(urls)
@example("sftp://user:HIDDEN[@host/path")
@example("s3://[HIDDEN")
@example("s3://bucket/path?endpoint=http://[::1&password=HIDDEN")
@example("webdav://host:99999/path")
@example("file://[/srv")
@example("file:///srv/\0/replica")
@example("file:///srv/\ud800")
@example("file:///srv/%00")
def test_any_url_is_looked_into(
    tmp_path_factory: pytest.TempPathFactory, url: str
) -> None:
    # Behind a proxy nothing is connected to.
    environ = {"https_proxy": "http://127.0.0.1:9"}
    bin_path = str(tmp_path_factory.getbasetemp() / "no-litestream")
    with (
        override_settings(LITESTREAM={"bin_path": bin_path}),
        mock.patch.object(diagnosis, "initial_environment", return_value=environ),
    ):
        reason = diagnosis.diagnose(url)
    if reason:
        assert SECRET not in one_line(reason)


@given(urls)
@example("sftp://user:HIDDEN[@host/path")
@example("file://[/srv")
@example("file:///srv/\0/replica")
@example("file:///srv/%00")
def test_nothing_is_compacted_at_any_url(url: str) -> None:
    there = compactions(url)
    # Another one is listed by the executable.
    assert not isinstance(there, InDirectory) or there.newest == 0


@hypothesis_settings(max_examples=50)
@given(urls.filter(lambda url: not url.startswith("file:")))
@example("sftp://user:HIDDEN[@host/path")
@example("s3://[HIDDEN")
@example("sftp://user:HIDDEN\0@host")
def test_a_daemon_may_be_started_with_any_url(url: str) -> None:
    entry = {"path": "default", "replica": {"url": url}}
    litestream = {"dbs": [entry], "socket": {"enabled": False}}

    def start() -> None:
        daemon.refuse_unwritable(config.build())

    with override_settings(LITESTREAM=litestream):
        refused = refusal(REFUSED, start)
    assert SECRET not in refused


@hypothesis_settings(max_examples=50)
@given(urls.filter(is_text))
@example("sftp://user:HIDDEN[@host/path")
def test_a_file_of_a_directory_goes_below_any_url(url: str) -> None:
    entry = {"dir": "/srv", "replica": {"url": url, "type": "x"}}
    with override_settings(LITESTREAM={"dbs": [entry]}):
        configuration = config.build()
    database = Database(path=Path("/srv/a/b.sqlite3"))
    refused = refusal(LitestreamError, lambda: configuration.naming(database))
    assert SECRET not in refused
    if not refused:
        named = configuration.naming(database)
        assert "a/b.sqlite3" in named.mapping["dbs"][0]["replica"]["url"]


@given(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=20),
    urls.filter(is_text),
    st.one_of(
        # Go counts nanoseconds in 64 bits.
        st.floats(min_value=1e-6, max_value=1e9),
        st.integers(min_value=1, max_value=10**9),
    ),
    st.integers(min_value=1, max_value=2**63 - 1),
)
@example("replica", "s3://b", 1_000_000.0, 1)
@example("replica", "s3://b", 0.00001, 1)
@example("a?b&vfs=litestream#", "s3://b?a=b&c=d#e", 1.0, 1)
def test_all_of_a_replica_is_in_its_uri(
    alias: str, url: str, poll_interval: float, cache_size: int
) -> None:
    replica = {"url": url, "poll_interval": poll_interval, "cache_size": cache_size}
    (database,) = get_vfs_databases({"vfs": {alias: replica}}).values()
    read_back = Replica.from_database(alias, database)
    assert is_vfs_name(database["NAME"])
    uri = connection_uri(database["NAME"], read_back)
    path, _, query = uri.partition("?")
    parameters = dict(parse_qsl(query, errors="strict"))
    assert unquote(path) == f"file:{alias}.db"
    assert parameters["replica_url"] == url
    assert parameters["cache_size"] == str(cache_size)
    assert go_duration.fullmatch(parameters["poll_interval"]), parameters
