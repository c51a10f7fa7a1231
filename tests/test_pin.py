"""A release that is pinned, built and run: that of the ARM machines, which no index has."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import threading
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from django_litestream.artifacts import ARTIFACTS, LITESTREAM_VERSION, Artifact

from .crafted_files import (
    arm_program,
    linked,
    mach_o,
    static_program,
    windows_program,
)
from .project import linux
from .release_server import tar_gz, zipped

REPOSITORY = Path(__file__).resolve().parents[1]
NEXT = "9.9.9"
# In a namespace of its own: there, and nowhere else, the kernel has qemu-arm run what is
# for ARM. The magic and the mask are those of an ELF executable's first 20 bytes.
WITH_QEMU = """\
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' ':arm:M::\\x7fELF\\x01\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x28\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:'"$(command -v qemu-arm)"':' >/proc/sys/fs/binfmt_misc/register
exec "$@"
"""


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        """Say nothing."""


@contextmanager
def serving(directory: Path) -> Iterator[str]:
    """Yield the URL below which the files of a directory are."""
    handler = partial(_Quiet, directory=os.fspath(directory))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def crafted(row: Artifact, version: str) -> bytes:
    """Return a file that deserves the row's tag."""
    system, machine = row.platform.split("-")
    if machine in ("armv6", "armv7"):
        return arm_program(int(machine[-1]), version)
    if system == "windows":
        return windows_program(machine)
    if system == "darwin":
        return mach_o(machine, int(row.wheel_tag.split("_")[1]))
    if row.distribution == "litestream-bin":
        return static_program(machine)
    return linked(machine, libraries=("libc.so.6",), versions=("GLIBC_2.34",))


def write_release(directory: Path, version: str) -> dict[str, str]:
    """Write every file of a release; return the SHA-256 of each file in its archives."""
    directory.mkdir()
    found, checksums = {}, []
    for row in ARTIFACTS:
        content = crafted(row, version)
        asset = row.asset.replace(LITESTREAM_VERSION, version)
        pack = zipped if asset.endswith(".zip") else tar_gz
        archive = pack(**{row.member: content, "LICENSE": b"Apache License"})
        (directory / asset).write_bytes(archive)
        sha256 = hashlib.sha256(archive).hexdigest()
        if row.distribution == "litestream-bin":
            checksums.append(f"{sha256}  {asset}\n")
        else:
            (directory / f"{asset}.sha256").write_text(f"{sha256}  {asset}\n")
        found[f"{row.distribution} {row.platform}"] = hashlib.sha256(
            content
        ).hexdigest()
    (directory / "checksums.txt").write_text("".join(checksums))
    return found


@dataclass(frozen=True, kw_only=True)
class Checkout:
    """A copy of what the wheels are built from."""

    directory: Path

    @property
    def table(self) -> Path:
        source = self.directory / "django-litestream" / "src"
        return source / "django_litestream" / "artifacts.toml"

    def run(
        self, *words: str | Path, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        inherited = {
            # The copies of our code are not to be measured.
            name: value
            for name, value in os.environ.items()
            if not name.startswith("COVERAGE_") and not name.lower().endswith("_proxy")
        }
        return subprocess.run(
            [sys.executable, "-m", *words],
            cwd=self.directory,
            env=inherited
            | {"PYTHONPATH": str(self.directory / "django-litestream" / "src")}
            | environment,
            capture_output=True,
            text=True,
            timeout=300,
        )

    def pin(self, *words: str | Path) -> subprocess.CompletedProcess[str]:
        return self.run("build_hooks.pin", *words)


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    directory = tmp_path / "checkout"
    for part in (
        "build_hooks",
        "django-litestream",
        "litestream-bin",
        "litestream-vfs-bin",
    ):
        shutil.copytree(
            REPOSITORY / part,
            directory / part,
            ignore=shutil.ignore_patterns(
                "__pycache__", *(row.file for row in ARTIFACTS)
            ),
        )
    return Checkout(directory=directory)


def comments(text: str) -> list[str]:
    return [line for line in text.splitlines() if line.startswith("#")]


def test_the_table_holds_the_release_after_it(
    checkout: Checkout, tmp_path: Path
) -> None:
    before = checkout.table.read_text()
    checkout.table.write_text(before.replace("\npost = 0\n", "\npost = 3\n"))
    found = write_release(tmp_path / "release", NEXT)
    with serving(tmp_path / "release") as url:
        completed = checkout.pin(f"v{NEXT}", "--from", url)
    assert completed.returncode == 0, completed.stderr
    assert completed.stdout == (
        f"artifacts.toml holds Litestream {NEXT} for {len(ARTIFACTS)} platforms.\n"
    )
    after = checkout.table.read_text()
    assert comments(after) == comments(before)
    table = tomllib.loads(after)
    assert (table.pop("version"), table.pop("post")) == (NEXT, 0)
    rows = {
        f"{distribution} {platform}": row
        for distribution, platforms in table.items()
        for platform, row in platforms.items()
    }
    assert {name: row["sha256"] for name, row in rows.items()} == found
    # All that is not of the release is as it was.
    for artifact in ARTIFACTS:
        row = rows[f"{artifact.distribution} {artifact.platform}"]
        assert row["asset"].format(version=LITESTREAM_VERSION) == artifact.asset
        assert row["wheel_tag"] == artifact.wheel_tag
        assert ("index_wheel" in row) == (artifact.index_wheel is not None)
        assert list(row)[:4] == ["file", "size", "sha256", "wheel_tag"]
    # And once more there is nothing to change.
    assert checkout.pin(NEXT, "--from", tmp_path / "release").returncode == 0
    assert checkout.table.read_text() == after


def test_a_release_that_needs_a_newer_system_says_so_in_its_tag(
    checkout: Checkout, tmp_path: Path
) -> None:
    release = tmp_path / "release"
    write_release(release, NEXT)
    asset = f"litestream-vfs-v{NEXT}-linux-amd64.tar.gz"
    newer = linked("x86_64", libraries=("libc.so.6",), versions=("GLIBC_2.39",))
    archive = tar_gz(**{"litestream.so": newer})
    (release / asset).write_bytes(archive)
    (release / f"{asset}.sha256").write_text(hashlib.sha256(archive).hexdigest())
    assert checkout.pin(NEXT, "--from", release).returncode == 0
    table = tomllib.loads(checkout.table.read_text())
    row = table["litestream-vfs-bin"]["linux-x86_64"]
    assert row["wheel_tag"] == "manylinux_2_39_x86_64"


def damage_an_archive(release: Path) -> None:
    (release / f"litestream-{NEXT}-linux-armv6.tar.gz").write_bytes(tar_gz(other=b""))


def remove_an_archive(release: Path) -> None:
    (release / f"litestream-{NEXT}-windows-arm64.zip").unlink()


def remove_the_checksums(release: Path) -> None:
    (release / "checksums.txt").unlink()


def remove_a_checksum(release: Path) -> None:
    (release / f"litestream-vfs-v{NEXT}-darwin-arm64.tar.gz.sha256").unlink()


def leave_a_page_of_html(release: Path) -> None:
    (release / "checksums.txt").write_text("<html>Sign in</html>\n")


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (damage_an_archive, f"litestream-{NEXT}-linux-armv6.tar.gz of .* has SHA-256"),
        (remove_an_archive, f"litestream-{NEXT}-windows-arm64.zip: HTTP 404"),
        (remove_the_checksums, "checksums.txt: HTTP 404"),
        (remove_a_checksum, "darwin-arm64.tar.gz.sha256: HTTP 404"),
        (leave_a_page_of_html, "lists no SHA-256"),
    ],
)
def test_a_release_that_is_not_whole_changes_nothing(
    checkout: Checkout, tmp_path: Path, change: Callable[[Path], None], reason: str
) -> None:
    before = checkout.table.read_text()
    write_release(tmp_path / "release", NEXT)
    change(tmp_path / "release")
    with serving(tmp_path / "release") as url:
        completed = checkout.pin(NEXT, "--from", url)
    assert completed.returncode == 1
    assert completed.stderr.startswith("Nothing was changed. ")
    assert "Traceback" not in completed.stderr
    assert re.search(reason, completed.stderr), completed.stderr
    assert checkout.table.read_text() == before
    assert [path.name for path in checkout.table.parent.glob("tmp*")] == []


def test_another_file_of_the_version_that_is_pinned_is_refused(
    checkout: Checkout, tmp_path: Path
) -> None:
    before = checkout.table.read_text()
    write_release(tmp_path / "release", LITESTREAM_VERSION)
    completed = checkout.pin(LITESTREAM_VERSION, "--from", tmp_path / "release")
    assert completed.returncode == 1
    assert "is pinned for the same version" in completed.stderr
    assert checkout.table.read_text() == before


def can_run_arm_programs() -> bool:
    """Whether there is qemu-arm, and the kernel lets it be registered for this alone."""
    if shutil.which("qemu-arm") is None or shutil.which("unshare") is None:
        return False
    tried = subprocess.run(with_qemu("true"), capture_output=True, check=False)
    return tried.returncode == 0


def with_qemu(*words: str | Path) -> list[str | Path]:
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    return [*namespace, "sh", "-ec", WITH_QEMU, "sh", *words]


@linux
@pytest.mark.parametrize(
    ("platform", "tag", "pip_platform", "processor"),
    [
        (
            "linux-armv7",
            "manylinux2014_armv7l.musllinux_1_1_armv7l",
            "manylinux2014_armv7l",
            "cortex-a7",
        ),
        ("linux-armv6", "linux_armv6l", "linux_armv6l", "arm1176"),
    ],
)
def test_what_only_a_release_has_is_pinned_built_chosen_and_run(
    checkout: Checkout,
    tmp_path: Path,
    platform: str,
    tag: str,
    pip_platform: str,
    processor: str,
) -> None:
    write_release(tmp_path / "release", NEXT)
    with serving(tmp_path / "release") as url:
        assert checkout.pin(NEXT, "--from", url).returncode == 0
    built = checkout.run(
        *("build_hooks.all_wheels", "--platform", platform, "--outdir", tmp_path / "dist"),
        LITESTREAM_ARTIFACTS=str(tmp_path / "release"),
        XDG_CACHE_HOME=str(tmp_path / "cache"),
    )  # fmt: skip
    assert built.returncode == 0, built.stderr
    (wheel,) = (tmp_path / "dist").iterdir()
    assert wheel.name == f"litestream_bin-{NEXT}-py3-none-{tag}.whl"

    site = tmp_path / "site"
    installed = checkout.run(
        *("pip", "install", "--no-index", "--find-links", tmp_path / "dist"),
        *("--target", site, "--only-binary=:all:", "--platform", pip_platform),
        "litestream-bin",
    )
    assert installed.returncode == 0, installed.stderr
    script = site / "bin" / "litestream"
    if not can_run_arm_programs():
        pytest.skip("needs qemu-arm, and a kernel that lets a user register it")

    def run_on(cpu: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            with_qemu(script, "version"),
            env={**os.environ, "PYTHONPATH": str(site), "QEMU_CPU": cpu},
            capture_output=True,
            text=True,
            timeout=60,
        )

    assert run_on(processor).stdout == f"{NEXT}\n"
    if platform == "linux-armv7":
        assert run_on("arm1176").stdout == ""
