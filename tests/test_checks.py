"""``manage.py check``: one test per message, its text included."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.core.checks import CheckMessage, run_checks
from django.db import connections
from django.test import override_settings

from django_litestream import binaries, checks, get_vfs_databases
from django_litestream.artifacts import LITESTREAM_VERSION

from .project import Project, linux
from .settings import DIRECTORY

REPLICA = {"url": "file:///srv/replica"}


def messages(litestream: Any) -> list[CheckMessage]:
    with override_settings(LITESTREAM=litestream):
        return list(run_checks(tags=["litestream"]))


def only_message(litestream: Any) -> tuple[str, str, str]:
    (message,) = messages(litestream)
    return str(message.id), message.msg, str(message.hint)


def replica(url: str = "abs://account@bucket/path", **changes: Any) -> dict[str, Any]:
    """Return an entry of ``DATABASES`` as ``get_vfs_databases`` makes it, changed.

    That of an S3 replica is checked in processes of its own: what this one was started
    with is not ours to say.
    """
    (made,) = get_vfs_databases({"vfs": {"replica": url}}).values()
    return made | changes


@contextmanager
def with_databases(**databases: dict[str, Any]) -> Iterator[None]:
    """Have ``DATABASES`` hold more, as ``override_settings`` cannot have it."""
    before = connections.settings
    connections.__dict__["settings"] = connections.configure_settings(
        settings.DATABASES | databases
    )
    try:
        yield
    finally:
        connections.__dict__["settings"] = before


@pytest.fixture
def a_replica() -> Iterator[None]:
    with with_databases(replica=replica()):
        yield


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
        ({"dbs": [{}]}, "['dbs'][0]", "a 'path' (a database alias or a path) or"),
        ({"dbs": [{"path": 3}]}, "['dbs'][0]['path']", "a database alias or a path"),
        (
            {"dbs": [{"path": "default", "replica": "s3://me:secret@bucket"}]},
            "['dbs'][0]['replica']",
            "a dictionary such as {'url':",
        ),
        ({"dbs": [{"a\nb": 3}]}, "['dbs'][0]", "a 'path' (a database alias or"),
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


@pytest.mark.usefixtures("a_replica")
def test_e005_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    settings: dict[str, Any] = {"vfs": {"replica": "file:///srv/replica"}}
    assert messages(settings) == []
    check_id, message, hint = only_message(settings | {"vfs_extension_path": "/no.so"})
    assert check_id == "litestream.E005"
    assert message == (
        "settings.LITESTREAM['vfs_extension_path'] is /no.so, which is not a file that "
        "can be read: correct it or remove it."
    )
    assert "django-litestream[vfs]" in hint
    monkeypatch.setattr(binaries, "current_platform", lambda: "windows-x86_64")
    check_id, message, hint = only_message(settings)
    assert check_id == "litestream.E005"
    assert message.startswith(
        "There is no Litestream VFS library for this platform: Litestream "
        f"{LITESTREAM_VERSION} has no litestream-vfs-bin for windows-x86_64, only for: "
    )
    assert "other platforms than Linux and macOS have no read replicas" in hint


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


def test_e001_a_replica_that_is_none() -> None:
    assert only_message({"vfs": {"replica": "/srv/replica"}}) == (
        "litestream.E001",
        "settings.LITESTREAM['vfs']['replica'] is improperly configured: expected a "
        "replica's URL such as 's3://bucket/path', or a dictionary with a 'url'.",
        "Make it a replica's URL such as 's3://bucket/path', or a dictionary with a "
        "'url'.",
    )


def test_e001_a_key_of_a_replica_that_is_one_misspelt() -> None:
    vfs = {"replica": {"url": "s3://bucket/path", "poll-interval": "5s"}}
    assert only_message({"vfs": vfs}) == (
        "litestream.E001",
        "settings.LITESTREAM['vfs']['replica']['poll-interval'] is improperly "
        "configured: did you mean 'poll_interval'?",
        "Call the key 'poll_interval'.",
    )


@pytest.mark.usefixtures("a_replica")
def test_nothing_is_wrong_with_a_replica() -> None:
    assert messages({}) == []


def test_e006_a_replica_whose_primary_is_not_there() -> None:
    with with_databases(replica=replica(TEST={"MIRROR": "shop"})):
        assert only_message({}) == (
            "litestream.E006",
            "The primary of the replica 'replica' is 'shop', which settings.DATABASES "
            "does not have.",
            "Name an alias of settings.DATABASES in "
            "settings.LITESTREAM['vfs']['replica']['primary'].",
        )


def test_e007_a_replica_by_hand_without_a_url() -> None:
    with with_databases(replica=replica(OPTIONS={})):
        assert only_message({}) == (
            "litestream.E007",
            "settings.DATABASES['replica']['OPTIONS']['litestream_replica_url'] is "
            "missing: make the entry with django_litestream.get_vfs_databases().",
            "Make the entry with django_litestream.get_vfs_databases().",
        )


def test_w003_a_bundle_of_certificates_this_process_was_started_with(
    project: Project,
) -> None:
    project.environ["AWS_CA_BUNDLE"] = "/etc/ssl/bundle.pem"
    project.databases["replica"] = replica("s3://bucket/path")
    project.write_settings()
    assert (
        "?: (litestream.W003) This process was started with AWS_CA_BUNDLE, so the "
        "replica 'replica' cannot be opened: Litestream's S3 client does not start with "
        "it.\n\tHINT: Unset AWS_CA_BUNDLE where the process is started and set "
        "SSL_CERT_FILE.\n"
    ) in project.manage("check").stderr


def test_w005_a_replica_without_a_mirror() -> None:
    with with_databases(replica=replica(TEST={})):
        assert only_message({}) == (
            "litestream.W005",
            "settings.DATABASES['replica'] is a replica without ['TEST']['MIRROR']: "
            "tests would read what is really replicated.",
            "Make the entry with django_litestream.get_vfs_databases().",
        )


@linux
@pytest.mark.usefixtures("a_replica")
def test_w006_credentials_that_came_too_late() -> None:
    os.environ["LITESTREAM_AZURE_ACCOUNT_KEY"] = "hunter2"
    os.environ["AWS_SECRET_ACCESS_KEY"] = "what no replica here asks for"
    assert only_message({}) == (
        "litestream.W006",
        "LITESTREAM_AZURE_ACCOUNT_KEY came into os.environ after this process had "
        "started, where Litestream's VFS cannot see it: replicas will be refused.",
        "Set it where the process is started, not in a .env file that Python reads.",
    )


@linux
def test_w006_is_not_said_of_what_was_there_from_the_start(project: Project) -> None:
    project.databases["replica"] = replica("s3://bucket/path")
    settings_file = project.directory / "project_settings.py"
    project.write_settings()
    loader = "\nimport os\nos.environ['AWS_ACCESS_KEY_ID'] = 'read from .env'\n"
    settings_file.write_text(settings_file.read_text() + loader)
    assert "(litestream.W006) AWS_ACCESS_KEY_ID came" in project.manage("check").stderr
    project.environ["AWS_ACCESS_KEY_ID"] = "from the start"
    assert "W006" not in project.manage("check").stderr


def test_w007_hydration() -> None:
    options = {"litestream_replica_url": "abs://a@b/p", "litestream_hydration": True}
    with with_databases(replica=replica(OPTIONS=options)):
        assert only_message({}) == (
            "litestream.W007",
            "The 'hydration' of the replica 'replica' is not switched on: with it "
            "Litestream 0.5.17 shows a transaction the pages of several moments.",
            "Leave it out. A larger 'cache_size' keeps more pages, each in 140 KB.",
        )


def test_w008_a_replica_that_has_no_database() -> None:
    assert only_message({"vfs": {"replica": "abs://account@bucket/path"}}) == (
        "litestream.W008",
        "settings.LITESTREAM['vfs'] has the replica 'replica', which settings.DATABASES "
        "does not have.",
        "Put `DATABASES |= get_vfs_databases()` below LITESTREAM.",
    )


@pytest.mark.parametrize(
    ("middleware", "problem"),
    [
        ([], "is missing: a client may not see what it wrote a request before"),
        (
            [checks.SESSIONS, checks.MIDDLEWARE],
            "comes after the session's: a client may not see that it logged in",
        ),
        ([checks.MIDDLEWARE, checks.SESSIONS], None),
        ([checks.MIDDLEWARE], None),
    ],
)
def test_w009_a_client_that_may_miss_its_own_writes(
    middleware: list[str], problem: str | None
) -> None:
    routed = override_settings(MIDDLEWARE=middleware, DATABASE_ROUTERS=[checks.ROUTER])
    with routed, with_databases(replica=replica()):
        found = messages({})
    assert [(one.id, one.msg, one.hint) for one in found] == (
        [
            (
                "litestream.W009",
                f"{checks.ROUTER} is used, and {checks.MIDDLEWARE} {problem}.",
                "Put it first in MIDDLEWARE.",
            )
        ]
        if problem
        else []
    )


def test_w009_is_not_for_projects_without_the_router() -> None:
    with with_databases(replica=replica()):
        assert messages({}) == []


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
