"""Rewrites the table of artifacts for a version of Litestream, whole or not at all."""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from django_litestream.artifacts import Artifact, Fingerprint, IndexWheel
from django_litestream.errors import ArtifactError, DownloadError, LitestreamError

from . import wheel_tags
from .releases import RELEASES, Release
from .sources import from_index
from .version import TABLE

_VERSION = re.compile(r"v?(\d+(?:\.\d+)+)")
# The lines of a row that are rewritten. They stand after the one that names the file.
_FOUND = ("size", "sha256", "wheel_tag")


@dataclass(frozen=True, kw_only=True)
class Found:
    """What a file of the release is, and the tag that it deserves.

    ``loses_index_wheel`` is true where the row names a wheel of the package index, and
    that has none with this file.
    """

    section: str
    fingerprint: Fingerprint
    wheel_tag: str
    loses_index_wheel: bool

    @property
    def lines(self) -> list[str]:
        return [
            f"size = {self.fingerprint.size}",
            f'sha256 = "{self.fingerprint.sha256}"',
            f'wheel_tag = "{self.wheel_tag}"',
        ]


def look_at(
    release: Release, version: str, table: Mapping[str, Any]
) -> Iterator[Found]:
    """Fetch the release's file for each row of the table and yield what it is.

    Raises ``DownloadError`` where one is not to be had, ``ArtifactError`` where it is
    not the one that the release's checksums name, or deserves no wheel tag, and
    ``OSError`` where there is no room for it.
    """
    with tempfile.TemporaryDirectory() as scratch:
        checksums = release.checksums(Path(scratch))
        for distribution, platform, row in _rows(table):
            # The archives of one version may be larger than what a disk has to spare.
            with tempfile.TemporaryDirectory(dir=scratch) as own:
                asset = row["asset"].format(version=version)
                file = release.member(asset, row["member"], checksums, Path(own))
                artifact = Artifact(
                    distribution=distribution,
                    platform=platform,
                    file=row["file"],
                    fingerprint=Fingerprint.of(file),
                    wheel_tag=wheel_tags.derive(file),
                    asset=asset,
                    member=row["member"],
                    index_wheel=_index_wheel(row),
                )
            yield Found(
                section=f"[{distribution}.{platform}]",
                fingerprint=artifact.expected,
                wheel_tag=artifact.wheel_tag,
                loses_index_wheel="index_wheel" in row
                and version != table["version"]
                and not _is_on_index(artifact, version),
            )


def rewritten(text: str, version: str, found: Sequence[Found]) -> str:
    """Return the text of the table with what was found, its comments kept.

    Raises ``ArtifactError`` where the table holds another hash of the same version.
    """
    before = tomllib.loads(text)
    if before["version"] == version:
        _refuse_changes(before, found)
    else:
        text = re.sub(r"(?m)^version = .*$", f'version = "{version}"', text)
        text = re.sub(r"(?m)^post = .*$", "post = 0", text)
    by_section = {one.section: one for one in found}
    lines: list[str] = []
    current = None
    for line in text.splitlines():
        if line.startswith("["):
            current = by_section[line.strip()]
        if current is None or not _is_replaced(line.partition(" = ")[0], current):
            lines.append(line)
        if current is not None and line.startswith("file = "):
            lines += current.lines
    return "\n".join([*lines, ""])


def _is_replaced(key: str, found: Found) -> bool:
    return key in _FOUND or (key == "index_wheel" and found.loses_index_wheel)


def _rows(table: Mapping[str, Any]) -> Iterator[tuple[str, str, Mapping[str, Any]]]:
    for distribution, platforms in table.items():
        if isinstance(platforms, dict):
            for platform, row in platforms.items():
                yield distribution, platform, row


def _index_wheel(row: Mapping[str, Any]) -> IndexWheel | None:
    return IndexWheel(**row["index_wheel"]) if "index_wheel" in row else None


def _is_on_index(artifact: Artifact, version: str) -> bool:
    with tempfile.TemporaryDirectory() as scratch:
        try:
            from_index(artifact, Path(scratch, artifact.file), version=version)
        except (ArtifactError, DownloadError):
            return False
    return True


def _refuse_changes(before: Mapping[str, Any], found: Sequence[Found]) -> None:
    sections = {f"[{name}.{platform}]": row for name, platform, row in _rows(before)}
    for one in found:
        pinned = sections[one.section].get("sha256", one.fingerprint.sha256)
        if pinned != one.fingerprint.sha256:
            raise ArtifactError(
                f"The release's file of {one.section} has SHA-256 "
                f"{one.fingerprint.sha256}, and {pinned} is pinned for the same "
                "version: find out which one Litestream made."
            )


def _write(text: str) -> None:
    beside = TABLE.with_name(f".{TABLE.name}.new")
    try:
        beside.write_text(text, encoding="utf-8", newline="\n")
        os.replace(beside, TABLE)
    except OSError:
        with suppress(OSError):
            beside.unlink()
        raise


def main(arguments: Sequence[str] | None = None) -> int:
    """Pin what the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m build_hooks.pin", description=__doc__
    )
    parser.add_argument("version", help="of Litestream, such as 0.5.17")
    parser.add_argument(
        "--from",
        dest="source",
        metavar="SOURCE",
        help="a directory or a URL with the files of the release (Litestream's own)",
    )
    options = parser.parse_args(arguments)
    if not (version := _VERSION.fullmatch(options.version)):
        parser.error(f"{options.version} is no version such as 0.5.17")
    text = TABLE.read_text(encoding="utf-8")
    table = tomllib.loads(text)
    release = Release(source=options.source or f"{RELEASES}/v{version[1]}")
    try:
        found = list(look_at(release, version[1], table))
        _write(rewritten(text, version[1], found))
    except (LitestreamError, OSError) as error:
        print(f"Nothing was changed. {error}", file=sys.stderr)
        return 1
    print(f"{TABLE.name} holds Litestream {version[1]} for {len(found)} platforms.")
    for one in found:
        if one.loses_index_wheel:
            print(
                f"{one.section} has no index_wheel: the package index has no such file."
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
