"""Every wheel of the table, built on this machine from a release and checked."""

from __future__ import annotations

import shutil
import zipfile
from pathlib import Path

import pytest

from django_litestream import __version__
from django_litestream.artifacts import ARTIFACTS

from .checkout import Checkout
from .release_server import tar_gz
from .releases import NEXT, write_release

APP = {
    f"django_litestream-{__version__}-py3-none-any.whl",
    f"django_litestream-{__version__}.tar.gz",
}


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the repository beside a release that was pinned in it."""
    directory = tmp_path_factory.mktemp("all")
    checkout = Checkout.copy(directory / "checkout")
    checkout.remove_index_wheels()
    write_release(directory / "release", NEXT)
    completed = checkout.pin(NEXT, "--from", directory / "release")
    assert completed.returncode == 0, completed.stderr
    return checkout


@pytest.fixture
def checkout(pinned: Checkout, tmp_path: Path) -> Checkout:
    """A copy of that copy, for a test to change."""
    shutil.copytree(pinned.directory.parent, tmp_path, dirs_exist_ok=True)
    return Checkout(directory=tmp_path / "checkout")


def wheels(version: str = NEXT) -> set[str]:
    return {
        f"{row.distribution.replace('-', '_')}-{version}-py3-none-{row.wheel_tag}.whl"
        for row in ARTIFACTS
    }


def names(directory: Path) -> set[str]:
    return {path.name for path in directory.iterdir()}


def test_all_are_built_and_are_as_they_must_be(
    checkout: Checkout, tmp_path: Path
) -> None:
    """A fix of the packaging, over what the build before it has left."""
    checkout.edit("post = 0", "post = 2")
    dist = checkout.directory / "dist"
    dist.mkdir()
    for stale in (*wheels(), "django_litestream-0.1.tar.gz"):
        (dist / stale).touch()
    built = checkout.run(
        "build_hooks.all_wheels", LITESTREAM_ARTIFACTS=tmp_path / "release"
    )
    assert (built.returncode, built.stderr) == (0, "")
    assert names(dist) == wheels(f"{NEXT}.post2") | APP
    assert {line.split()[-1] for line in built.stdout.splitlines()} == names(dist)

    # Each is built once more to be checked, and a few show what all of them would.
    for name in names(dist):
        if "win" in name or "macosx" in name:
            (dist / name).unlink()
    checked = checkout.run("build_hooks.check_wheels")
    assert (checked.returncode, checked.stderr) == (0, "")
    assert checked.stdout == f"{len(names(dist))} distributions are as they must be.\n"


def test_what_is_wrong_with_a_directory_is_said(
    checkout: Checkout, tmp_path: Path
) -> None:
    dist = tmp_path / "dist"
    built = checkout.build(
        *("--platform", "linux-armv6", "--platform", "windows-arm64"),
        release=tmp_path / "release",
        outdir=dist,
    )
    assert built.returncode == 0, built.stderr
    good, changed = sorted(dist.iterdir())
    with zipfile.ZipFile(changed, "a") as package:
        package.writestr("litestream_bin/extra.py", "")
    shutil.copy(good, dist / f"litestream_bin-{NEXT}-py3-none-any.whl")
    (dist / f"litestream_bin-{NEXT}.tar.gz").touch()
    checked = checkout.run("build_hooks.check_wheels", dist)
    assert checked.returncode == 1
    assert checked.stdout == ""
    complaints = checked.stderr.splitlines()
    for complaint in (
        f"{changed.name}: litestream_bin/extra.py does not belong there",
        f"{changed.name}: a second build differs",
        f"litestream_bin-{NEXT}-py3-none-any.whl: the table of artifacts has no such",
        f"litestream_bin-{NEXT}.tar.gz: the table of artifacts has no such",
    ):
        assert any(line.startswith(complaint) for line in complaints), complaints
    assert not any(line.startswith(f"{good.name}:") for line in complaints)


def test_what_cannot_be_had_is_named(checkout: Checkout, tmp_path: Path) -> None:
    release, dist = tmp_path / "release", tmp_path / "dist"
    missing = release / f"litestream-{NEXT}-windows-arm64.zip"
    missing.unlink()
    checkout.unpin("[litestream-bin.linux-armv6]")
    dist.mkdir()
    (dist / "thesis.tar.gz").touch()
    platforms = ("--platform", "linux-armv7", "linux-armv6", "windows-arm64")
    built = checkout.build(*platforms, release=release, outdir=dist)
    assert built.returncode == 1
    armv6, windows, hint = built.stderr.splitlines()
    assert armv6 == (
        "Left out: litestream-bin for linux-armv6: artifacts.toml has no size and "
        f"SHA-256 of its file. `just pin {NEXT}` adds them where Litestream's release "
        "can be reached."
    )
    assert windows.startswith(
        f"Left out: litestream-bin for windows-arm64: {release} holds neither "
        f"{missing.name} nor litestream.exe"
    )
    assert hint == "Give --allow-missing to succeed without them."
    armv7 = (
        f"litestream_bin-{NEXT}-py3-none-manylinux2014_armv7l.musllinux_1_1_armv7l.whl"
    )
    assert names(dist) == {armv7, "thesis.tar.gz"}

    allowed = checkout.build(
        "--allow-missing", *platforms, release=release, outdir=dist
    )
    assert allowed.returncode == 0
    assert allowed.stderr.splitlines() == [armv6, windows]
    assert names(dist) == {armv7, "thesis.tar.gz"}


@pytest.mark.parametrize(
    ("row", "wrong", "right"),
    [
        ("litestream-bin.darwin-arm64", "macosx_11_0_arm64", "macosx_12_0_arm64"),
        (
            "litestream-vfs-bin.linux-x86_64",
            "manylinux_2_28_x86_64",
            "manylinux_2_34_x86_64",
        ),
    ],
)
def test_a_table_that_promises_more_than_the_file_holds(
    checkout: Checkout, tmp_path: Path, row: str, wrong: str, right: str
) -> None:
    checkout.edit(f'wheel_tag = "{right}"', f'wheel_tag = "{wrong}"')
    platform = row.partition(".")[2]
    built = checkout.build(
        *("--platform", platform),
        release=tmp_path / "release",
        outdir=tmp_path / "dist",
    )
    assert built.returncode == 1
    assert f"artifacts.toml promises {wrong} of " in built.stderr
    assert (
        f"the file itself says {right}: correct the table's wheel_tag." in built.stderr
    )
    assert "Traceback" not in built.stderr
    assert not any(wrong in name for name in names(tmp_path / "dist"))


def test_another_file_than_the_tables_ends_the_build(
    checkout: Checkout, tmp_path: Path
) -> None:
    asset = tmp_path / "release" / f"litestream-{NEXT}-linux-armv6.tar.gz"
    asset.write_bytes(tar_gz(litestream=b"another"))
    built = checkout.build(
        *("--allow-missing", "--platform", "linux-armv6"),
        release=tmp_path / "release",
        outdir=tmp_path / "dist",
    )
    assert built.returncode == 1
    assert built.stderr.count("\n") == 1
    assert str(asset) in built.stderr
    assert names(tmp_path / "dist") == set()
