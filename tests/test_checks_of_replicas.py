"""``manage.py check`` of read replicas and their router: one test per message."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings

from django_litestream import binaries, checks
from django_litestream.artifacts import LITESTREAM_VERSION

from .checked import messages, only_message, replica, with_databases
from .project import Project, linux


@pytest.fixture
def a_replica() -> Iterator[None]:
    with with_databases(replica=replica()):
        yield


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
