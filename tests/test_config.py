"""``settings.LITESTREAM`` becomes the YAML that Litestream is given."""

from __future__ import annotations

import os
import re
import string
import subprocess
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.exceptions import ImproperlyConfigured
from django.core.management import CommandError, call_command
from django.test import override_settings
from django.utils.translation import gettext_lazy
from hypothesis import assume, event, given
from hypothesis import strategies as st

from django_litestream import config, private_files
from django_litestream.binaries import find_executable
from django_litestream.configuration import Configuration
from django_litestream.databases import Database
from django_litestream.errors import (
    ConfigurationError,
    NotASQLiteFile,
    UnknownDatabase,
)

from .settings import DIRECTORY

FILE = {"type": "file", "path": "/srv/replica"}


def build(
    dbs: list[dict[str, Any]], environ: dict[str, str] | None = None, **others: Any
) -> Configuration:
    with override_settings(LITESTREAM={"dbs": dbs, **others}):
        return config.build(environ or {})


def loaded(configuration: Configuration) -> Any:
    return yaml.safe_load(configuration.to_yaml())


def test_the_whole_of_a_configuration() -> None:
    configuration = build(
        [
            {"path": "default", "monitor-interval": "2s"},
            {"path": Path("other.db"), "replica": {"url": "s3://bucket/other"}},
            {"dir": "many", "pattern": "*.db", "replica": FILE},
        ],
        path_prefix="/myproject/",
        bin_path="/opt/litestream",
        offline=True,
        vfs={"replica": "s3://bucket/db"},
        addr=":9090",
        levels=({"interval": "6s"},),
    )
    path = DIRECTORY / "db.sqlite3"
    assert loaded(configuration) == {
        "addr": ":9090",
        "levels": [{"interval": "6s"}],
        "socket": {
            "enabled": True,
            "path": str(private_files.socket_path(private_files.directory(path))),
        },
        "dbs": [
            {
                "path": str(path),
                "monitor-interval": "2s",
                "replica": {
                    "type": "s3",
                    "bucket": "$AWS_BUCKET",
                    "path": "myproject/db.sqlite3",
                    "access-key-id": "$AWS_ACCESS_KEY_ID",
                    "secret-access-key": "$AWS_SECRET_ACCESS_KEY",
                },
            },
            {
                "path": str(Path.cwd() / "other.db"),
                "replica": {"url": "s3://bucket/other"},
            },
            {"dir": str(Path.cwd() / "many"), "pattern": "*.db", "replica": FILE},
        ],
    }


def test_references_are_no_secrets() -> None:
    configuration = build([{"path": "default"}])
    assert configuration.to_yaml(show_secrets=False) == configuration.to_yaml()


def test_litestreams_own_variables_come_first() -> None:
    environ = {
        "LITESTREAM_REPLICA_BUCKET": "ours",
        "AWS_BUCKET": "theirs",
        "AWS_ACCESS_KEY_ID": "id",
        "LITESTREAM_SECRET_ACCESS_KEY": "",
    }
    (entry,) = loaded(build([{"path": "default"}], environ))["dbs"]
    assert entry["replica"] == {
        "type": "s3",
        "bucket": "$LITESTREAM_REPLICA_BUCKET",
        "path": "db.sqlite3",
        "access-key-id": "$AWS_ACCESS_KEY_ID",
        "secret-access-key": "$AWS_SECRET_ACCESS_KEY",
    }


def test_a_server_is_left_out_and_said_to_be() -> None:
    configuration = build([{"path": "server"}, {"path": "default", "replica": FILE}])
    assert [entry["path"] for entry in loaded(configuration)["dbs"]] == [
        str(DIRECTORY / "db.sqlite3")
    ]
    (sentence,) = configuration.left_out
    assert "'server' is not a SQLite database" in sentence


@pytest.mark.parametrize("dbs", [[], [{"path": "server"}]])
def test_nothing_left_is_an_error(dbs: list[dict[str, Any]]) -> None:
    with pytest.raises(ConfigurationError, match="names no SQLite database"):
        build(dbs)


@pytest.mark.parametrize("alias", ["memory", "memory_uri", "named_memory"])
def test_a_database_in_memory_is_an_error(alias: str) -> None:
    with pytest.raises(NotASQLiteFile, match=f"'{alias}' is an in-memory database"):
        build([{"path": "default"}, {"path": alias}])


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


S3 = {"type": "s3", "bucket": "b", "path": "x"}


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


def test_an_alias_that_does_not_exist() -> None:
    with pytest.raises(UnknownDatabase, match="did you mean 'default'"):
        build([{"path": "defaul"}])


def test_an_explicit_replica_goes_through_untouched() -> None:
    replica = {
        "type": "s3",
        "bucket": "$HOME",
        "path": "p",
        "secret-access-key": "pa$$word\\'\"",
        "part-size": 5_000_000,
        "force-path-style": True,
    }
    configuration = build([{"path": "default", "replica": replica}], path_prefix="x")
    assert loaded(configuration)["dbs"][0]["replica"] == replica
    assert configuration.references == frozenset()


def test_a_socket_of_the_settings_overrides_ours() -> None:
    dbs = [{"path": "default", "replica": FILE}]
    assert build(dbs, socket={"path": "/run/ls.sock"}).socket == Path("/run/ls.sock")
    assert build(dbs, socket={"enabled": False}).socket is None


def test_the_default_socket_fits_whatever_the_paths() -> None:
    configuration = build([{"path": "/" + "d/" * 200 + "x.db", "replica": FILE}])
    assert len(os.fsencode(configuration.socket or "")) <= 107


def test_a_socket_path_that_is_too_long_is_an_error() -> None:
    with pytest.raises(ImproperlyConfigured, match="longer than the 103 bytes"):
        build([{"path": "default"}], socket={"path": "/" + "x" * 110})


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


def test_lazy_text_is_text() -> None:
    configuration = build([{"path": "default"}], addr=gettext_lazy(":9090"))
    assert loaded(configuration)["addr"] == ":9090"


@pytest.mark.parametrize("value", [object(), {1, 2}, b"bytes", 1j])
def test_what_yaml_cannot_hold_is_an_error_that_names_the_key(value: object) -> None:
    with pytest.raises(
        ImproperlyConfigured, match=r"settings.LITESTREAM\['snapshot'\]\['interval'\]"
    ):
        build([{"path": "default"}], snapshot={"interval": value})


def test_the_same_path_whatever_the_directory_it_is_run_in(tmp_path: Path) -> None:
    before = loaded(build([{"path": "default"}]))
    old = Path.cwd()
    os.chdir(tmp_path)
    try:
        assert loaded(build([{"path": "default"}])) == before
    finally:
        os.chdir(old)


@override_settings(
    LITESTREAM={
        "dbs": [
            {"path": "default", "replica": {"type": "sftp", "password": "hunter2"}},
            {"path": "text", "replica": {"url": "sftp://me:hunter2@host/x"}},
        ]
    }
)
def test_config_prints_secrets_only_when_told_to() -> None:
    hidden, shown = StringIO(), StringIO()
    call_command("litestream", "config", stdout=hidden)
    call_command("litestream", "config", "-show-secrets", stdout=shown)
    assert "hunter2" not in hidden.getvalue()
    assert shown.getvalue().count("hunter2") == 2
    assert yaml.safe_load(hidden.getvalue())["dbs"][1]["replica"] == {
        "url": "sftp://me:***@host/x"
    }


@override_settings(LITESTREAM={"dbs": [{"path": "default"}]})
def test_a_bucket_that_is_not_set_is_an_error_of_what_needs_it() -> None:
    errors = StringIO()
    call_command("litestream", "config", stdout=StringIO(), stderr=errors)
    assert "LITESTREAM_REPLICA_BUCKET or AWS_BUCKET is not set" in errors.getvalue()
    with pytest.raises(CommandError, match="bucket of the generated S3 replica is not"):
        call_command("litestream", "restore", "default")


# What a settings file may hold: text of every kind, but no surrogates, which are
# no text, and NUL, which no path can hold.
texts = st.text(
    alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    min_size=1,
)
scalars = texts | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.none()
keys = st.sampled_from(
    ["bucket", "region", "snapshot", "levels", "password", "sync-interval", "$key"]
)
values = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(keys, inner, max_size=3)
    ),
    max_leaves=8,
)
# Without what Litestream would take for another file: refused, see above.
file_names = texts.filter(lambda name: name not in {".", ".."}).map(
    lambda name: re.sub("[/?#%]", "_", name)
)
places = st.one_of(
    file_names.map(lambda name: f"/srv/{name}"),
    file_names.map(lambda name: f"sub/{name}"),
    file_names.map(Path),
)
secrets = st.text(alphabet=string.ascii_uppercase, min_size=24, max_size=32)


@given(
    paths=st.lists(places, min_size=1, max_size=4, unique_by=os.path.realpath),
    others=st.dictionaries(
        st.sampled_from(["addr", "levels", "snapshot", "logging"]), values, max_size=3
    ),
    replica=st.dictionaries(keys, values, min_size=1, max_size=4),
    secret=secrets,
)
def test_whatever_goes_in_comes_out_as_yaml(
    paths: list[str | Path],
    others: dict[str, Any],
    replica: dict[str, Any],
    secret: str,
) -> None:
    assume(secret not in repr((paths, others, replica)))
    explicit, *generated = paths
    try:
        configuration = build(
            [
                {"path": explicit, "replica": replica},
                *({"path": path} for path in generated),
            ],
            {"AWS_BUCKET": "bucket", "AWS_SECRET_ACCESS_KEY": secret},
            **others,
        )
    except ConfigurationError:
        # Two of the paths have one file name: refused, see above.
        names = [os.path.basename(os.path.realpath(path)) for path in generated]
        event("refused")
        assert len(set(names)) < len(names)
        return
    text = configuration.to_yaml()
    result = yaml.safe_load(text)
    assert secret not in text
    assert {key: result[key] for key in others} == others
    assert result["dbs"][0]["replica"] == replica
    assert [entry["path"] for entry in result["dbs"]] == [
        os.path.realpath(path) for path in paths
    ]
    assert all(Path(entry["path"]).is_absolute() for entry in result["dbs"])


@given(text=texts)
def test_expansion_changes_nothing_but_references(text: str) -> None:
    """What Go's ``os.ExpandEnv`` would replace is not in the text at all."""
    with override_settings(SILENCED_SYSTEM_CHECKS=["litestream.E002"]):
        configuration = build(
            [
                {"path": "default"},
                {"path": "text", "replica": {"bucket": text, text: "x"}},
            ],
            addr=text,
        )
    expanded = configuration.to_yaml()
    for name in configuration.references:
        expanded = expanded.replace(f"${name}", "value")
    assert "$" not in expanded
    result = yaml.safe_load(expanded)
    assert result["addr"] == text
    assert result["dbs"][1]["replica"] == {"bucket": text, text: "x"}


def test_litestream_itself_reads_the_text_as_it_was_meant(tmp_path: Path) -> None:
    """Through Go's own YAML and expansion, with and without ``-no-expand-env``."""
    name = "d$HOME ${HOME} $$ é ☃ 😀 'q' \"q\" \\ : - {a} [b] &c *d !e %f @g `h` ~"
    database = tmp_path / name
    database.touch()
    configuration = build([{"path": database, "replica": FILE}])
    file = tmp_path / "litestream.yml"
    file.write_text(configuration.to_yaml(), encoding="utf-8")
    for flags in ([], ["-no-expand-env"]):
        listed = subprocess.run(
            [find_executable(), "databases", "-json", "-config", file, *flags],
            capture_output=True,
            text=True,
            check=True,
        )
        assert [entry["path"] for entry in yaml.safe_load(listed.stdout)] == [
            str(database)
        ]
