"""Which machines a file says that it runs on."""

from __future__ import annotations

import struct
from contextlib import suppress
from importlib.resources import files
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from build_hooks import wheel_tags
from django_litestream.artifacts import ARTIFACTS, current_platform, find_artifact
from django_litestream.errors import ArtifactError

from .arm_executable import arm_executable
from .crafted_files import (
    go_build_info,
    linked,
    mach_o,
    static_program,
    windows_program,
)

LINKED = linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_2.34",))
HERE = [row for row in ARTIFACTS if row.platform == current_platform()]


def derive(content: bytes, directory: Path) -> str:
    path = directory / "file"
    path.write_bytes(content)
    return wheel_tags.derive(path)


def test_litestreams_own_files_deserve_what_the_table_says() -> None:
    """The file that is installed here; `just check-wheels` looks at the others."""
    for artifact in HERE:
        package = artifact.distribution.replace("-", "_")
        file = Path(str(files(package).joinpath(artifact.file)))
        assert wheel_tags.derive(file) == artifact.wheel_tag
        wheel_tags.check(artifact, file)


@pytest.mark.parametrize(
    ("content", "tag"),
    [
        (static_program("x86_64"), "manylinux2014_x86_64.musllinux_1_1_x86_64"),
        (static_program("arm64"), "manylinux2014_aarch64.musllinux_1_1_aarch64"),
        (arm_executable(7, "text"), "manylinux2014_armv7l.musllinux_1_1_armv7l"),
        (arm_executable(6, "text"), "linux_armv6l"),
        (
            linked(
                "x86_64",
                libraries=("libc.so.6", "ld-linux-x86-64.so.2"),
                # By their numbers, which is not the order of the alphabet.
                versions=("GLIBC_2.34", "GLIBC_2.2.5", "GLIBC_2.9"),
            ),
            "manylinux_2_34_x86_64",
        ),
        (
            linked("arm64", libraries=("libc.so.6",), versions=("GLIBC_2.17",)),
            "manylinux_2_17_aarch64",
        ),
        # The oldest that there are tags for on every machine.
        (
            linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_2.2.5",)),
            "manylinux_2_17_x86_64",
        ),
        # Of 2.36, though it has no number.
        (
            linked(
                "x86_64",
                libraries=("libc.so.6",),
                versions=("GLIBC_2.34", "GLIBC_ABI_DT_RELR"),
            ),
            "manylinux_2_36_x86_64",
        ),
        (mach_o("x86_64", 12), "macosx_12_0_x86_64"),
        (mach_o("arm64", 11), "macosx_11_0_arm64"),
        (mach_o("x86_64", 10, 15), "macosx_10_15_x86_64"),
        # Of macOS 12 no tag says more.
        (mach_o("arm64", 12, 3), "macosx_13_0_arm64"),
        (windows_program("x86_64"), "win_amd64"),
        (windows_program("arm64"), "win_arm64"),
    ],
)
def test_a_file_and_its_tag(content: bytes, tag: str, tmp_path: Path) -> None:
    assert derive(content, tmp_path) == tag


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "no executable or library"),
        (b"#!/bin/sh\nexec litestream\n", "no executable or library"),
        (b"\xca\xfe\xba\xbe" + bytes(60), "no executable or library"),
        (
            linked("x86_64", libraries=("libssl.so.3",), versions=("GLIBC_2.34",)),
            r"needs libssl\.so\.3",
        ),
        (
            linked("x86_64", libraries=("libc.musl-x86_64.so.1",), versions=("V",)),
            "needs libc.musl-x86_64",
        ),
        (
            linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_PRIVATE",)),
            "of the version GLIBC_PRIVATE",
        ),
        (
            LINKED.replace(struct.pack("<q", 5), struct.pack("<q", 21)),
            "needs libraries and names none",
        ),
        (
            LINKED.replace(
                struct.pack("<qQ", 0x6FFFFFFF, 1), struct.pack("<qQ", 0x6FFFFFFF, 2)
            ),
            "symbols of more libraries than it names",
        ),
        (static_program("x86_64").replace(b"F\x02", b"F\x01", 1), "0x3e of ELF with 32"),
        (
            static_program("x86_64")[:32] + b"\xff" * 8 + static_program("x86_64")[40:],
            "is cut short",
        ),
        (b"\x7fELF\x02\x02\x01" + bytes(57), "big-endian"),
        (b"\x7fELF\x02\x01\x01".ljust(18, b"\0") + b"\xf3\0" + bytes(60), "0xf3 of ELF"),
        (
            arm_executable(7, "text").replace(b"GOARM=7", b"GOARM=5"),
            "ARM, built with GOARM=5",
        ),
        (arm_executable(7, "text").replace(b" Go buildinf", b" Go nothing!"), "how Go built"),
        (mach_o("arm64", 11).replace(struct.pack("<I", 0x32), bytes(4)), "which macOS"),
        (mach_o("arm64", 11).replace(b"\x0c\0\0\x01", b"\x07\0\0\0"), "the CPU 0x7"),
        (windows_program("arm64").replace(b"PE\0\0", b"NE\0\0"), "no program for Windows"),
        (windows_program("arm64").replace(b"\x64\xaa", b"\x4c\x01"), "0x14c of Windows"),
    ],
)  # fmt: skip
def test_a_file_that_no_wheel_may_carry(
    content: bytes, reason: str, tmp_path: Path
) -> None:
    with pytest.raises(ArtifactError, match=reason):
        derive(content, tmp_path)


@given(st.data())
def test_a_damaged_file_is_refused_or_has_a_tag(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Cut short or overwritten anywhere, and never an endless loop."""
    content = bytearray(
        data.draw(
            st.sampled_from(
                [
                    arm_executable(7, "text"),
                    LINKED,
                    mach_o("arm64", 11),
                    windows_program("x86_64"),
                ]
            )
        )
    )  # fmt: skip
    place = data.draw(st.integers(min_value=4, max_value=len(content) - 1))
    content[place : place + 4] = data.draw(st.binary(min_size=4, max_size=4))
    del content[data.draw(st.integers(min_value=4, max_value=len(content))) :]
    with suppress(ArtifactError):
        assert derive(bytes(content), tmp_path_factory.getbasetemp())


def test_a_constant_of_a_program_is_not_what_go_says_of_it(tmp_path: Path) -> None:
    """Of a program that reads such files itself, as Litestream might."""
    program = arm_executable(6, "text")
    misleading = program + b"." + go_build_info(GOARM="7")
    assert derive(misleading, tmp_path) == "linux_armv6l"
    before = program.index(b"\xff Go buildinf:")
    header = b"\xff Go buildinf:\x04\x00".ljust(32, b"\0")
    assert derive(program[:before] + header + program[before:], tmp_path) == (
        "linux_armv6l"
    )


def test_a_tag_that_promises_too_much_is_refused(tmp_path: Path) -> None:
    row = find_artifact("litestream-vfs-bin", "linux-x86_64")
    file = tmp_path / row.file
    file.write_bytes(
        linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_2.38",))
    )
    with pytest.raises(ArtifactError) as refused:
        wheel_tags.check(row, file)
    assert str(refused.value) == (
        f"artifacts.toml promises manylinux_2_34_x86_64 of {row}, and the file itself "
        "says manylinux_2_38_x86_64: correct the table's wheel_tag."
    )
