"""What is replicated where: no two to one place, and nothing to another than is meant."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

from django_litestream.databases import Database
from django_litestream.errors import ConfigurationError

from .configured import FILE, build
from .settings import DIRECTORY

S3 = {"type": "s3", "bucket": "b", "path": "x"}


def test_two_databases_with_one_file_name_are_both_named() -> None:
    with pytest.raises(ConfigurationError, match="share the replica path") as caught:
        build([{"path": "same_name_one"}, {"path": "same_name_two"}], path_prefix="p")
    assert str(DIRECTORY / "one" / "same.sqlite3") in str(caught.value)
    assert str(DIRECTORY / "two" / "same.sqlite3") in str(caught.value)


def test_two_databases_with_one_file_name_and_replicas_of_their_own() -> None:
    configuration = build(
        [
            {"path": "same_name_one"},
            {"path": "same_name_two", "replica": {"url": "s3://bucket/two"}},
        ]
    )
    assert len(configuration.databases) == 2


def test_two_explicit_replicas_in_one_place_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="destroy each other's backup"):
        build([{"path": "default", "replica": FILE}, {"path": "text", "replica": FILE}])


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/b/x"}, {"type": "file", "path": "/b/x/", "sync-interval": "1s"}),
        ({"path": "/b/x"}, {"url": "file:///b/x"}),
        ({"path": "/b/x"}, {"path": "/b/./c/../x"}),
        ({"path": "~/x"}, {"path": str(Path("~/x").expanduser())}),
        ({"url": "s3://b/x"}, {"url": "s3://b/x/", "sync-interval": "1s"}),
        (S3, {"url": "s3://b/x?region=eu-north-1"}),
        (S3, {**S3, "access-key-id": "another"}),
        (
            {**S3, "endpoint": "http://127.0.0.1:9/"},
            {"url": "s3://b/x?endpoint=http://127.0.0.1:9"},
        ),
        ({"url": "gs://b/a%20x"}, {"type": "gs", "bucket": "b", "path": "a x"}),
        (
            {"url": "sftp://me:pa[ss@Host:22/x"},
            {"type": "sftp", "user": "me", "host": "host:22", "path": "/x"},
        ),
        (
            {"url": "webdavs://me:secret@host/x"},
            {
                "type": "webdav",
                "webdav-url": "https://host",
                "webdav-username": "me",
                "path": "/x",
            },
        ),
        (
            {"url": "abs://account@b/x"},
            {"type": "abs", "account-name": "account", "bucket": "b", "path": "x"},
        ),
        ({"url": "nats://host:4222/b"}, {"url": "nats://me:secret@host:4222/b"}),
    ],
)
@pytest.mark.parametrize("several", [False, True])
def test_one_place_said_in_two_ways_is_refused(
    one: dict[str, Any], other: dict[str, Any], several: bool
) -> None:
    second = {"replicas": [other]} if several else {"replica": other}
    with pytest.raises(ConfigurationError, match="destroy each other's") as caught:
        build([{"path": "default", "replica": one}, {"path": "text", **second}])
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"path": "/b/x"}, {"path": "/b/x2"}),
        ({"path": "/b/x"}, {"url": "s3://b/x"}),
        (S3, {**S3, "bucket": "c"}),
        (S3, {**S3, "endpoint": "http://127.0.0.1:9"}),
        (S3, {**S3, "type": "gs"}),
        ({"url": "sftp://one@host/x"}, {"url": "sftp://two@host/x"}),
        ({"url": "abs://one@b/x"}, {"url": "abs://two@b/x"}),
        ({"url": "nats://host/b"}, {"url": "nats://host/c"}),
    ],
)
def test_two_places_are_taken(one: dict[str, Any], other: dict[str, Any]) -> None:
    entries = [{"path": "default", "replica": one}, {"path": "text", "replica": other}]
    assert len(build(entries).databases) == 2


def test_one_file_named_in_two_ways_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="twice"):
        build([{"path": "default"}, {"path": DIRECTORY / "linked-to/../db.sqlite3"}])


@pytest.mark.parametrize(
    ("name", "found"),
    [("a#b.db", "#"), ("what?.db", "?"), ("d%41b.db", "%41"), ("c#/plain.db", "#")],
)
def test_what_litestream_takes_for_another_file_is_refused(
    name: str, found: str, tmp_path: Path
) -> None:
    refused = re.escape(f"{tmp_path / name} has a '{found}' in it")
    with pytest.raises(ConfigurationError, match=refused):
        build([{"path": tmp_path / name}])
    with pytest.raises(ConfigurationError, match=re.escape(f"has a '{found}'")):
        build([{"dir": tmp_path / name, "pattern": "*.db", "replica": FILE}])
    file = tmp_path / name
    file.parent.mkdir(exist_ok=True)
    file.write_bytes(b"SQLite format 3\0")
    directory = {"dir": tmp_path, "pattern": "*.db", "recursive": True}
    whole = build([{**directory, "replica": FILE}])
    with pytest.raises(ConfigurationError, match=refused):
        whole.directory_files()


@pytest.mark.parametrize("name", ["100%.db", "a b&c=+.db", "50%!.db"])
def test_a_name_that_is_itself_in_a_uri_is_taken(name: str, tmp_path: Path) -> None:
    assert build([{"path": tmp_path / name}]).databases[0].path == tmp_path / name


@pytest.mark.parametrize(
    ("path", "directory"),
    [
        ("/srv/a.db", {"pattern": "*.db"}),
        ("/srv/a.db", {"pattern": "?.db", "recursive": True}),
        ("/srv/north/a.db", {"pattern": "*.db", "recursive": True}),
    ],
)
@pytest.mark.parametrize("order", [slice(None), slice(None, None, -1)])
def test_a_database_that_is_in_a_directory_as_well_is_refused(
    path: str, directory: dict[str, Any], order: slice
) -> None:
    entries = [
        {"path": path, "replica": {"path": "/srv/replica-of-it"}},
        {"dir": "/srv", "replica": FILE, **directory},
    ]
    with pytest.raises(ConfigurationError, match="by its path and by the 'dir' /srv"):
        build(entries[order])


@pytest.mark.parametrize(
    ("path", "pattern"),
    [("/srv/a.sqlite3", "*.db"), ("/srv/north/a.db", "*.db"), ("/a.db", "*.db")],
)
def test_a_database_beside_those_of_a_directory(path: str, pattern: str) -> None:
    configuration = build(
        [
            {"path": path, "replica": {"path": "/srv/replica-of-it"}},
            {"dir": "/srv", "pattern": pattern, "replica": FILE},
        ]
    )
    assert len(configuration.databases) == len(configuration.directories) == 1


@pytest.mark.parametrize("nothing", [None, ""])
def test_a_path_whose_directory_is_nothing(nothing: str | None) -> None:
    entries = [
        {"path": "default", "dir": nothing, "replica": FILE},
        {"path": nothing, "dir": "/srv", "replica": {"path": "/srv/replicas"}},
    ]
    assert [sorted(entry) for entry in build(entries).mapping["dbs"]] == [
        ["path", "replica"],
        ["dir", "replica"],
    ]


@pytest.mark.parametrize(
    ("url", "below"),
    [
        ("s3://bucket", "s3://bucket/a%20b.db"),
        ("s3://bucket/path/?region=x", "s3://bucket/path/a%20b.db?region=x"),
        ("file:///", "file:///a%20b.db"),
        ("sftp://user:pa[ss@host/path", "sftp://user:pa[ss@host/path/a%20b.db"),
    ],
)
def test_a_file_of_a_directory_has_its_replica_below(url: str, below: str) -> None:
    configuration = build([{"dir": "/srv", "replica": {"url": url}}])
    named = configuration.naming(Database(path=Path("/srv/a b.db")))
    assert named.mapping["dbs"][0]["replica"] == {"url": below}


@pytest.mark.parametrize(
    ("entry", "name", "message"),
    [
        ({"replica": {}}, "a.db", "/srv has no replica"),
        ({"replicas": []}, "a.db", "/srv has no replica"),
        ({"replica": FILE}, "\udcff.db", r"'/srv/\\udcff.db' cannot be named"),
    ],
)
def test_a_file_of_a_directory_that_cannot_be_named(
    entry: dict[str, Any], name: str, message: str
) -> None:
    configuration = build([{"dir": "/srv", **entry}])
    with pytest.raises(ConfigurationError, match=message):
        configuration.naming(Database(path=Path("/srv", name)))


@pytest.mark.parametrize("pattern", ["/srv/*.db", "**/*.db", "a\0b", "[a", "a\\", "[]"])
def test_a_pattern_that_finds_no_file(pattern: str) -> None:
    configuration = build([{"dir": "/srv", "pattern": pattern, "replica": FILE}])
    with pytest.raises(ConfigurationError, match="of /srv in settings"):
        configuration.directory_files()


@pytest.mark.parametrize(
    "pattern",
    ["*", "**", "tenant-*", "*.db*", "*[a-z]", "*m", "*????", "*.????", "*.lock"],
)
def test_a_pattern_by_which_litestream_opens_what_it_has_locked(pattern: str) -> None:
    entry = {"dir": "/srv", "pattern": pattern, "replica": FILE}
    with pytest.raises(ImproperlyConfigured, match=r"a pattern such as '\*\.db'"):
        build([entry])


@pytest.mark.parametrize(
    "pattern",
    ["*.db", "*.sqlite3", "*.sqlite?", "*.[ds]*b", "*.???", "tenant-??", r"\*", "*\n"],
)
def test_a_pattern_by_which_it_opens_databases_alone(pattern: str) -> None:
    assert build([{"dir": "/srv", "pattern": pattern, "replica": FILE}])
