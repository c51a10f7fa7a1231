"""The files of a Litestream release, from a directory or a server, checked.

A release has ``checksums.txt`` with the SHA-256 of its archives, and beside each
archive of the VFS library, which is not listed there, a file that ends in ``.sha256``.
"""

from __future__ import annotations

import hashlib
import re
import shutil
import sys
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from django_litestream.archives import extract
from django_litestream.errors import ArtifactError, DownloadError
from django_litestream.progress import on_terminal
from django_litestream.transfer import fetch

RELEASES = "https://github.com/benbjohnson/litestream/releases/download"
CHECKSUMS = "checksums.txt"

# Of an archive, and of the file in it: five times what there is today.
_LARGEST = 500_000_000
_LONGEST_TRANSFER = 600.0
_LINE = re.compile(r"([0-9a-fA-F]{64})(?:\s+\*?(\S+))?\s*")


@dataclass(frozen=True, kw_only=True)
class Release:
    """Where a version's files are: a directory, or the URL that they are below."""

    source: str

    def fetch(self, name: str, directory: Path) -> Path:
        """Bring a file of the release into ``directory``.

        Raises ``DownloadError`` where it is not to be had, and ``OSError`` where it
        cannot be written.
        """
        target = directory / name
        if "://" not in self.source:
            file = Path(self.source, name)
            if not file.is_file():
                raise DownloadError(f"{file} is not there.")
            shutil.copyfile(file, target)
            return target
        with on_terminal(name, sys.stderr) as report:
            fetch(
                f"{self.source.rstrip('/')}/{quote(name)}",
                target,
                _LARGEST,
                timeout=30.0,
                longest=_LONGEST_TRANSFER,
                delays=(0.5, 2.0),
                report=report,
                unreachable="Give a directory or a mirror with --from.",
            )
        return target

    def checksums(self, directory: Path) -> dict[str, str]:
        """Return the SHA-256 of each archive that ``checksums.txt`` lists.

        Raises ``DownloadError``, and ``ArtifactError`` where it lists none.
        """
        text = self.fetch(CHECKSUMS, directory).read_text("utf-8", "replace")
        lines = map(_LINE.fullmatch, text.splitlines())
        found = {line[2]: line[1].lower() for line in lines if line and line[2]}
        if not found:
            raise ArtifactError(f"{CHECKSUMS} of {self.source} lists no SHA-256.")
        return found

    def member(
        self, asset: str, member: str, checksums: dict[str, str], directory: Path
    ) -> Path:
        """Bring the one file ``member`` of the archive ``asset`` into ``directory``.

        Raises ``DownloadError``, and ``ArtifactError`` where the archive is not the
        one whose SHA-256 the release gives.
        """
        archive = self.fetch(asset, directory)
        expected = checksums.get(asset) or self._own_checksum(asset, directory)
        with archive.open("rb") as file:
            found = hashlib.file_digest(file, "sha256").hexdigest()
        if found != expected:
            raise ArtifactError(
                f"{asset} of {self.source} has SHA-256 {found}, and its checksum says "
                f"{expected}."
            )
        target = directory / f"{asset}.member"
        extract(archive, member, target, _LARGEST)
        return target

    def _own_checksum(self, asset: str, directory: Path) -> str:
        name = f"{asset}.sha256"
        text = self.fetch(name, directory).read_text("utf-8", "replace")
        if not (line := _LINE.match(text)):
            raise ArtifactError(f"{name} of {self.source} holds no SHA-256.")
        return line[1].lower()
