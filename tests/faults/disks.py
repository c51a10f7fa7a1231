"""A disk of its own, which fails as disks do."""

from __future__ import annotations

import fcntl
import os
import shutil
import struct
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_SIZE = 64 << 20

# Of the kernel's <linux/ext4.h>: EXT4_IOC_SHUTDOWN and EXT4_GOING_FLAGS_NOLOGFLUSH.
_SHUTDOWN = 0x8004587D
_WITHOUT_FLUSHING = 2


@dataclass(frozen=True)
class Disk:
    """An ext4 file system in ``image``, mounted at ``directory``."""

    image: Path
    directory: Path

    def mount(self) -> None:
        # As Debian and Ubuntu mount their root.
        options = "loop,errors=remount-ro"
        _run("mount", "-o", options, str(self.image), str(self.directory))

    def unmount(self) -> None:
        _run("umount", str(self.directory))

    def sync(self) -> None:
        """Have on the disk all that was written by now."""
        _run("sync", "--file-system", str(self.directory))

    def become_read_only(self) -> None:
        """Have the kernel meet an error, whoever has files open for writing."""
        number = self.directory.stat().st_dev
        device = Path(f"/sys/dev/block/{os.major(number)}:{os.minor(number)}")
        name = device.resolve().name
        Path(f"/sys/fs/ext4/{name}/trigger_fs_error").write_text("1")

    def lose_power(self) -> None:
        """Lose what was written and not synced; nothing can be read before a repair."""
        descriptor = os.open(self.directory, os.O_RDONLY)
        try:
            fcntl.ioctl(descriptor, _SHUTDOWN, struct.pack("I", _WITHOUT_FLUSHING))
        finally:
            os.close(descriptor)

    def repair(self) -> None:
        """Bring it back, once nobody has anything of it open."""
        self.unmount()
        # 1 is "errors were corrected".
        checked = subprocess.run(
            ["e2fsck", "-fy", str(self.image)], capture_output=True, check=False
        )
        assert checked.returncode in (0, 1), checked.stdout
        self.mount()


@contextmanager
def disk(image: Path, directory: Path) -> Iterator[Disk]:
    """Have a disk at ``directory`` for the block; skip where none may be mounted."""
    made = Disk(image, directory)
    with image.open("wb") as file:
        file.truncate(_SIZE)
    if shutil.which("mkfs.ext4") is None:
        pytest.skip("there is no mkfs.ext4")
    _run("mkfs.ext4", "-q", str(image))
    try:
        made.mount()
    except subprocess.CalledProcessError:
        pytest.skip("only root may mount a disk, and not everywhere")
    try:
        yield made
    finally:
        made.unmount()


def _run(*words: str) -> None:
    subprocess.run(words, capture_output=True, check=True)
