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

from django_litestream import private_files
from django_litestream.binaries import find_executable
from django_litestream.configuration import Configuration
from django_litestream.errors import (
    ConfigurationError,
    NotASQLiteFile,
    UnknownDatabase,
)

from .configured import FILE, build
from .settings import DIRECTORY


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
