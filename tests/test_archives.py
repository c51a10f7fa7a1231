"""Archives that somebody has made to do harm, or that are damaged."""

from __future__ import annotations

import gzip
import io
import random
import struct
import tarfile
import time
import tracemalloc
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from django_litestream.archives import extract
from django_litestream.errors import ArtifactError

from .release_server import tar_gz, zipped

LIMIT = 1_000_000
# What none of them may take; an idle machine needs a tenth of the time.
MOST_SECONDS = 30.0
MOST_MEMORY = 5_000_000


def opened(content: bytes, directory: Path, suffix: str) -> bytes:
    """Return the one file called "wanted"."""
    archive, target = directory / f"archive{suffix}", directory / "target"
    archive.write_bytes(content)
    extract(archive, "wanted", target, LIMIT)
    return target.read_bytes()


def refusal(content: bytes, directory: Path, suffix: str) -> str:
    """Return why an archive is refused, which must cost neither time nor memory."""
    (directory / f"archive{suffix}").write_bytes(content)
    tracemalloc.start()
    started = time.monotonic()
    try:
        with pytest.raises(ArtifactError) as caught:
            extract(directory / f"archive{suffix}", "wanted", directory / "t", LIMIT)
        assert time.monotonic() - started < MOST_SECONDS
        assert tracemalloc.get_traced_memory()[1] < MOST_MEMORY
    finally:
        tracemalloc.stop()
    assert not (directory / "t").exists() or (directory / "t").stat().st_size <= LIMIT
    assert "\n" not in str(caught.value)
    return str(caught.value)


def tar_with(*entries: tuple[tarfile.TarInfo, bytes], **options: int) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", **options) as package:  # type: ignore[call-overload]
        for entry, content in entries:
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def info(name: str, kind: bytes = tarfile.REGTYPE, **fields: object) -> tarfile.TarInfo:
    made = tarfile.TarInfo(name)
    made.type = kind
    for field, value in fields.items():
        setattr(made, field, value)
    return made


@pytest.mark.parametrize(
    ("pack", "suffix"), [(tar_gz, ".tar.gz"), (zipped, ".zip")], ids=["tar.gz", "zip"]
)
class TestEither:
    def test_one_file_among_others(
        self, tmp_path: Path, pack: Callable[..., bytes], suffix: str
    ) -> None:
        content = random.randbytes(300_001)
        others = {"LICENSE": b"x" * 511, "empty": b"", "bin/wanted": content}
        assert opened(pack(**others, last=b"y"), tmp_path, suffix) == content
        assert opened(pack(wanted=b""), tmp_path, suffix) == b""

    def test_not_one(
        self, tmp_path: Path, pack: Callable[..., bytes], suffix: str
    ) -> None:
        twice = pack(**{"wanted": b"1", "more/wanted": b"2"})
        for content, count in ((pack(other=b""), 0), (twice, 2)):
            assert refusal(content, tmp_path, suffix) == (
                f"archive{suffix} holds {count} files named wanted instead of one."
            )

    def test_a_bomb(
        self, tmp_path: Path, pack: Callable[..., bytes], suffix: str
    ) -> None:
        content = pack(wanted=bytes(30_000_000))
        assert refusal(content, tmp_path, suffix) == (
            f"archive{suffix} holds more than {LIMIT} bytes."
        )

    def test_damage_anywhere(
        self, tmp_path: Path, pack: Callable[..., bytes], suffix: str
    ) -> None:
        """It is refused in a line, or what is unpacked goes to the check of its hash."""
        whole = pack(LICENSE=b"text", wanted=random.randbytes(2000), last=b"z")
        refusals = []
        for _ in range(400):
            damaged = bytearray(whole)
            for _ in range(random.choice((1, 1, 4))):
                damaged[random.randrange(len(damaged))] = random.randrange(256)
            cut = random.choice((len(damaged), random.randrange(len(damaged))))
            try:
                opened(bytes(damaged[:cut]), tmp_path, suffix)
            except ArtifactError as error:
                refusals.append(str(error))
        assert refusals
        assert not any("\n" in message for message in refusals)

    def test_it_cannot_be_read(
        self, tmp_path: Path, pack: Callable[..., bytes], suffix: str
    ) -> None:
        with pytest.raises(ArtifactError, match=r"nowhere\S* cannot be read: No such"):
            extract(tmp_path / f"nowhere{suffix}", "wanted", tmp_path / "t", LIMIT)


@pytest.mark.parametrize("form", [tarfile.GNU_FORMAT, tarfile.PAX_FORMAT])
def test_headers_that_go_before_others_are_passed_over(
    tmp_path: Path, form: int
) -> None:
    long, noted = info("d" * 300 + "/readme"), info("wanted")
    noted.pax_headers = {"mtime": "1.5", "comment": "ü" * 2000}
    directory = info("wanted", tarfile.DIRTYPE)
    content = tar_with(
        (long, b"text"), (directory, b""), (noted, b"content"), format=form
    )
    assert opened(content, tmp_path, ".tar.gz") == b"content"


def test_what_has_no_content_says_no_size(tmp_path: Path) -> None:
    """Old programs give a directory, or a link, the size of something else."""
    directory = block(b"d", b"%012o" % 9999, tarfile.DIRTYPE)
    wanted = block(b"wanted", b"%012o" % 4) + b"text".ljust(512, b"\0")
    content = gzip.compress(directory + wanted + bytes(1024))
    assert opened(content, tmp_path, ".tar.gz") == b"text"


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.FIFOTYPE])
def test_a_link_is_no_file(tmp_path: Path, kind: bytes) -> None:
    link = info("wanted", kind, linkname="/etc/passwd")
    assert "holds 0 files" in refusal(tar_with((link, b"")), tmp_path, ".tar.gz")


def block(name: bytes, size: bytes, kind: bytes = b"0") -> bytes:
    header = name.ljust(100, b"\0") + b"0000644\0" * 3 + size + b"0" * 11 + b"\0"
    header = header.ljust(156, b" ") + kind
    header = header.ljust(512, b"\0")
    return header[:148] + b"%06o\0 " % sum(header) + header[156:]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(block(b"x", b"7" * 12, b"x") + bytes(LIMIT)), "holds more than"),
        (gzip.compress(block(b"x", b"%012o" % 9999, b"g")), "ends too early"),
        (gzip.compress(block(b"wanted", b"-00000000512")), "holds no number"),
        (gzip.compress(block(b"wanted", b"\xff" * 12)), "holds no number"),
        (gzip.compress(block(b"wanted", b"00000000080\0")), "holds no number"),
        (gzip.compress(block(b"a", b"0" * 12) * 100_000), "holds more than"),
        (gzip.compress(b"") * 500_000, "ends too early"),
        (b"\x1f\x8b\x08\x08" + bytes(6) + b"n" * 20_000_000, "ends too early"),
        (gzip.compress(b"0" * 5000), "checksum is wrong"),
        (gzip.compress(b""), "ends too early"),
        (b"", "ends too early"),
    ],
    ids=[
        "a header of 8 GB",
        "a header that is not there",
        "a negative size",
        "a binary size",
        "a size of eights",
        "many members",
        "many gzip members",
        "an endless name",
        "no tar",
        "nothing packed",
        "nothing",
    ],
)
def test_a_tar_gz_that_would_be_read_for_ever(
    tmp_path: Path, content: bytes, message: str
) -> None:
    assert message in refusal(content, tmp_path, ".tar.gz")


def test_a_zip_that_is_packed_in_another_way(tmp_path: Path) -> None:
    """bzip2 makes 45 MB of forty bytes, and zipfile takes them all at once."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_BZIP2) as package:
        package.writestr("wanted", bytes(50_000_000))
    assert len(buffer.getvalue()) < 300
    assert "compressed in an unusual way" in refusal(
        buffer.getvalue(), tmp_path, ".zip"
    )


def test_a_zip_of_many_members(tmp_path: Path) -> None:
    entry = b"PK\1\2" + bytes(24) + struct.pack("<H", 1) + bytes(16) + b"m"
    directory = entry * 200_000
    end = struct.pack(
        "<4sHHHHLLH", b"PK\5\6", 0, 0, 0xFFFF, 0xFFFF, len(directory), 0, 0
    )
    message = refusal(directory + end, tmp_path, ".zip")
    assert "a part of it has more than" in message


def test_a_zip_with_a_directory_of_that_name(tmp_path: Path) -> None:
    content = zipped(**{"wanted/": b"", "wanted/wanted": b"text"})
    assert opened(content, tmp_path, ".zip") == b"text"


def test_a_zip_that_points_far_beyond_its_end(tmp_path: Path) -> None:
    content = zipped(wanted=b"text")
    start, end = content.index(b"PK\1\2"), content.index(b"PK\5\6")
    directory = bytearray(content[start:end])
    directory[30:32] = struct.pack("<H", 12)
    directory[42:46] = b"\xff" * 4
    directory += struct.pack("<HHQ", 1, 8, (1 << 64) - 1)
    ending = bytearray(content[end:])
    ending[12:16] = struct.pack("<L", len(directory))
    message = refusal(content[:start] + directory + ending, tmp_path, ".zip")
    assert "archive.zip is damaged: " in message


def test_an_encrypted_zip(tmp_path: Path) -> None:
    content = bytearray(zipped(wanted=b"secret"))
    for signature, place in ((b"PK\3\4", 6), (b"PK\1\2", 8)):
        content[content.index(signature) + place] |= 1
    assert "is encrypted" in refusal(bytes(content), tmp_path, ".zip")
