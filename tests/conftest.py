from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from hypothesis import settings as hypothesis_settings

from .project import Project

os.environ["DJANGO_SETTINGS_MODULE"] = "tests.settings"

# A slow machine is not a failure.
hypothesis_settings.register_profile("patient", deadline=None)
hypothesis_settings.load_profile("patient")

# What a developer's or a CI machine may have set and the tests must not depend on.
_FOREIGN = (
    "AWS_ACCESS_KEY_ID",
    "AWS_BUCKET",
    "AWS_CA_BUNDLE",
    "AWS_SECRET_ACCESS_KEY",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_OFFLINE",
    "LITESTREAM_REPLICA_BUCKET",
    "LITESTREAM_SECRET_ACCESS_KEY",
)


def pytest_configure() -> None:
    django.setup()


@pytest.fixture(autouse=True)
def _environment() -> Iterator[None]:
    before = dict(os.environ)
    for name in _FOREIGN:
        os.environ.pop(name, None)
    yield
    os.environ.clear()
    os.environ.update(before)


@pytest.fixture
def no_network_settings() -> None:
    """Proxies and certificates of this machine that loopback has no use for."""
    for name in ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    for name in ("SSL_CERT_DIR", "SSL_CERT_FILE"):
        os.environ.pop(name, None)


@pytest.fixture
def project(tmp_path: Path) -> Iterator[Project]:
    """A project whose database has ten rows; nothing replicates it yet."""
    made = Project(tmp_path / "project")
    made.create_database()
    yield made
    made.remove_private_files()
