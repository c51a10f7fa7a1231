"""``manage.py check``: one test per message, its text included."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_litestream import binaries
from django_litestream.artifacts import LITESTREAM_VERSION

from .checked import REPLICA, messages, only_message
from .project import Project
from .settings import DIRECTORY


@pytest.fixture
def in_wal_mode() -> Iterator[Path]:
    path = DIRECTORY / "db.sqlite3"
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS t (x)")
    yield path
    path.unlink()


def test_nothing_is_wrong(in_wal_mode: Path) -> None:
    assert messages({"dbs": [{"path": "default", "replica": REPLICA}]}) == []


@pytest.mark.parametrize("settings", [{}, {"dbs": []}, {"vfs": {}}])
def test_nothing_is_asked_of_a_project_that_replicates_nothing(settings: Any) -> None:
    assert messages(settings) == []


def test_e001_settings_that_are_no_dictionary() -> None:
    assert only_message(["default"]) == (
        "litestream.E001",
        "settings.LITESTREAM is improperly configured: expected a dictionary, "
        "got <class 'list'>.",
        "Make it a dictionary.",
    )


@pytest.mark.parametrize(
    ("settings", "place", "expected"),
    [
        ({"path_prefix": 3}, "['path_prefix']", "a string, got 3"),
        ({"bin_path": 3}, "['bin_path']", "a path, got 3"),
        ({"offline": "yes"}, "['offline']", "True or False, got 'yes'"),
        ({"vfs": []}, "['vfs']", "a dictionary such as {'replica': '"),
        ({"dbs": {}}, "['dbs']", "a list of dictionaries such as"),
        ({"dbs": ["default"]}, "['dbs'][0]", "a dictionary such as {'path':"),
        (
            {"dbs": [{}]},
            "['dbs'][0]",
            "either a 'path' (a database alias or a path) or",
        ),
        (
            {"dbs": [{"path": "default", "dir": "/srv"}]},
            "['dbs'][0]",
            "either a 'path' (a database alias or a path) or a 'dir'",
        ),
        ({"dbs": [{"path": 3}]}, "['dbs'][0]['path']", "a database alias or a path"),
        (
            {"dbs": [{"path": "default", "replica": "s3://me:secret@bucket"}]},
            "['dbs'][0]['replica']",
            "a dictionary such as {'url':",
        ),
        ({"dbs": [{"a\nb": 3}]}, "['dbs'][0]", "either a 'path' (a database alias or"),
        (
            {"dbs": [{"path": "a\0b/c"}]},
            "['dbs'][0]['path']",
            r"a database alias or a path, got 'a\x00b/c'",
        ),
        (
            {"dbs": [{"path": "s3://me:secret@bucket"}]},
            "['dbs'][0]['path']",
            "a database alias or a path, got text that may hold a secret",
        ),
        (
            {"dbs": [{"path": "default", "meta-path": 3}]},
            "['dbs'][0]['meta-path']",
            "a path, got 3",
        ),
        (
            {"dbs": [{"dir": "/srv", "meta-dir": 3}]},
            "['dbs'][0]['meta-dir']",
            "a path, got 3",
        ),
        (
            {"dbs": [{"dir": "/srv", "pattern": "*"}]},
            "['dbs'][0]['pattern']",
            "a pattern such as '*.db' or '*.sqlite3' that matches no '-shm' file "
            "(Litestream would open that too, and let go of the lock on it which keeps "
            "commits), got '*'",
        ),
        (
            {"dbs": [{"path": "default", "replica": {"url": 5}}]},
            "['dbs'][0]['replica']['url']",
            "text, got 5",
        ),
        (
            {"dbs": [{"path": "default", "replicas": "s3://me:secret@bucket"}]},
            "['dbs'][0]['replicas']",
            "a list, got <class 'str'>",
        ),
        (
            {"dbs": [{"path": "default", "replicas": ["s3://me:secret@bucket"]}]},
            "['dbs'][0]['replicas'][0]",
            "a dictionary such as {'url':",
        ),
        (
            {"dbs": {"path": "default", "replica": {"password": "secret"}}},
            "['dbs']",
            "a list of dictionaries such as [{'path': 'default'}], got <class 'dict'>",
        ),
        ({"dbs": "x" * 100_000}, "['dbs']", "a list of dictionaries"),
        ({"socket": "/run/x"}, "['socket']", "a dictionary such as {'enabled'"),
        ({"socket": {"path": None}}, "['socket']['path']", "a path, got None"),
        ({"bin_path": "~no-such-user/x"}, "['bin_path']", "a path, got '~no-such"),
        ({"vfs_extension_path": "a\nb"}, "['vfs_extension_path']", r"a path, got 'a\n"),
        ({"addr": "\ud800"}, "['addr']", "text that UTF-8 can hold"),
        ({"part-size": 10**400}, "['part-size']", "a number that Litestream can read"),
        (
            {"vfs": {"pin_seconds": 1e20}},
            "['vfs']['pin_seconds']",
            "a number of seconds, got 1e+20",
        ),
    ],
)
def test_e001_a_value_of_a_wrong_type(settings: Any, place: str, expected: str) -> None:
    check_id, message, _ = only_message(settings)
    assert check_id == "litestream.E001"
    assert message.startswith(
        f"settings.LITESTREAM{place} is improperly configured: expected {expected}"
    )
    assert "secret@" not in message
    assert "'secret'" not in message
    assert len(message.splitlines()) == 1
    assert len(message) < 400


def test_e001_settings_that_hold_themselves() -> None:
    litestream: dict[str, Any] = {}
    litestream["logging"] = {"stderr": litestream}
    check_id, message, _ = only_message(litestream)
    assert check_id == "litestream.E001"
    assert message.startswith("settings.LITESTREAM['logging']['stderr'] is improperly")


@pytest.mark.parametrize("key", ["vfs_eager", "vfs"])
def test_a_project_starts_to_be_told_of_wrong_settings(
    project: Project, key: str
) -> None:
    project.litestream[key] = "yes"
    project.write_settings()
    completed = project.manage("check")
    assert completed.returncode == 1
    assert f"(litestream.E001) settings.LITESTREAM['{key}']" in completed.stderr
    assert "Traceback" not in completed.stderr


@pytest.mark.parametrize(
    ("settings", "place", "key", "meant"),
    [
        ({"path_prefx": "p"}, "", "path_prefx", "path_prefix"),
        ({"bin-path": "p"}, "", "bin-path", "bin_path"),
        ({"mcp_addr": ":1"}, "", "mcp_addr", "mcp-addr"),
        ({"snapshots": {}}, "", "snapshots", "snapshot"),
        ({"snapshot": {"retenton": "1h"}}, "['snapshot']", "retenton", "retention"),
        (
            {"dbs": [{"path": "default", "replica": {"secret_access_key": "x"}}]},
            "['dbs'][0]['replica']",
            "secret_access_key",
            "secret-access-key",
        ),
    ],
)
def test_e002_a_key_that_is_one_misspelt(
    settings: Any, place: str, key: str, meant: str
) -> None:
    check_id, message, hint = only_message(settings)
    assert check_id == "litestream.E002"
    assert message == (
        f"settings.LITESTREAM{place} has the unknown key '{key}': "
        f"did you mean '{meant}'?"
    )
    assert "SILENCED_SYSTEM_CHECKS" in hint


def test_e002_a_key_that_is_no_text() -> None:
    check_id, message, _ = only_message({3: "x"})
    assert check_id == "litestream.E002"
    assert message == "settings.LITESTREAM has the key 3, which is not a string."


def test_a_key_of_a_newer_litestream_is_passed_on() -> None:
    assert messages({"quantum-entanglement": True, "dbs": []}) == []


@pytest.mark.parametrize(
    ("dbs", "message"),
    [
        ([{"path": "defaul"}], "No database alias 'defaul' in settings.DATABASES: did"),
        ([{"path": "memory"}], "The alias 'memory' is an in-memory database"),
        (
            [{"path": "same_name_one"}, {"path": "same_name_two"}],
            f"{DIRECTORY}/one/same.sqlite3 and {DIRECTORY}/two/same.sqlite3 would share",
        ),
        ([{"path": "unloadable"}], "'no.such.engine' isn't an available database"),
    ],
)
def test_e003_settings_that_do_not_go_together(dbs: Any, message: str) -> None:
    check_id, found, hint = only_message({"dbs": dbs})
    assert check_id == "litestream.E003"
    assert found.startswith(message)
    assert "manage.py litestream config" in hint


def test_e004_no_executable() -> None:
    check_id, message, hint = only_message(
        {"bin_path": "/nowhere", "dbs": [{"path": "default"}]}
    )
    assert check_id == "litestream.E004"
    assert message.startswith("settings.LITESTREAM['bin_path'] is /nowhere")
    assert "django-litestream[bin]" in hint


def test_w001_a_database_that_is_left_out() -> None:
    check_id, message, _ = only_message(
        {"dbs": [{"path": "default"}, {"path": "server"}]}
    )
    assert check_id == "litestream.W001"
    assert message.startswith("The alias 'server' is not a SQLite database")


@pytest.mark.parametrize(
    ("script", "found"),
    [("echo v0.5.99", "Litestream 0.5.99;"), ("exit 1", "of an unknown version;")],
)
def test_w002_an_executable_of_another_version(
    tmp_path: Path, script: str, found: str
) -> None:
    other = tmp_path / "litestream"
    other.write_text(f"#!/bin/sh\n{script}\n")
    other.chmod(0o755)
    check_id, message, hint = only_message(
        {"bin_path": other, "dbs": [{"path": "default"}]}
    )
    assert check_id == "litestream.W002"
    assert found in message
    assert LITESTREAM_VERSION in hint


def test_w003_a_bundle_of_certificates_that_stops_the_s3_client() -> None:
    os.environ["AWS_CA_BUNDLE"] = "/etc/ssl/bundle.pem"
    check_id, message, hint = only_message({"dbs": [{"path": "default"}]})
    assert check_id == "litestream.W003"
    assert messages({"dbs": [{"path": "default", "replica": REPLICA}]}) == []
    assert message.startswith("AWS_CA_BUNDLE is set")
    assert "SSL_CERT_FILE" in hint


def test_w004_a_database_that_is_not_in_wal_mode(in_wal_mode: Path) -> None:
    with closing(sqlite3.connect(in_wal_mode)) as connection:
        connection.execute("PRAGMA journal_mode=DELETE")
    check_id, message, hint = only_message({"dbs": [{"path": "default"}]})
    assert check_id == "litestream.W004"
    assert message.startswith(f"The journal mode of default ({in_wal_mode}) is not WAL")
    assert "PRAGMA journal_mode=WAL" in hint


def test_manage_py_check_prints_them(project: Project) -> None:
    project.litestream["dbs"][0]["path"] = "defualt"
    project.write_settings()
    completed = project.manage("check")
    assert completed.returncode == 1
    assert "(litestream.E003) No database alias 'defualt'" in completed.stderr
    assert "HINT: `manage.py litestream config`" in completed.stderr


def test_a_restore_is_not_held_up_by_them(project: Project) -> None:
    """After a disaster the rest of the project need not be well."""
    with project.replicating():
        pass
    settings = project.directory / "project_settings.py"
    settings.write_text(
        settings.read_text() + "\nSTATICFILES_DIRS = 3\nMEDIA_URL = 3\n"
    )
    for file in project.directory.glob("db.sqlite3*"):
        file.unlink()
    assert project.run("restore", "default").returncode == 0


def test_the_executable_is_looked_for_in_order(tmp_path: Path) -> None:
    found = binaries.find_executable()
    on_path = tmp_path / "litestream"
    shutil.copy(found, on_path)
    with override_settings(LITESTREAM={"bin_path": on_path}):
        assert binaries.find_executable() == on_path
    assert binaries.find_executable() == found


@pytest.mark.parametrize("key", ["path", "dir"])
@pytest.mark.parametrize("login", ["mysite:secret", "mysite", "$NATS_LOGIN"])
def test_w010_a_login_that_litestream_does_not_use(key: str, login: str) -> None:
    replicated = {
        key: str(DIRECTORY),
        "replica": {"url": f"nats://{login}@host/bucket"},
    }
    assert only_message({"dbs": [replicated]}) == (
        "litestream.W010",
        f"The replica of {DIRECTORY} has its login within its URL, and Litestream "
        "0.5.17 comes to NATS without it.",
        "Give the replica the keys 'username' and 'password', or 'token'.",
    )


@pytest.mark.parametrize(
    "replica",
    [
        {"url": "nats://host/bucket"},
        {"url": "nats://host/a@b"},
        {
            "url": "nats://mysite@host/bucket",
            "username": "mysite",
            "password": "secret",
        },
        {"url": "nats://secret@host/bucket", "token": "secret"},
        {"url": "sftp://mysite@host/path"},
        {"type": "nats", "bucket": "mysite"},
    ],
)
def test_w010_is_not_said_where_litestream_logs_in(replica: dict[str, str]) -> None:
    replicated = {"path": str(DIRECTORY / "other.sqlite3"), "replica": replica}
    assert messages({"dbs": [replicated]}) == []
