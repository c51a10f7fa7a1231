"""Builds every wheel of the table, and django-litestream's, into a directory."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from django_litestream.artifacts import ARTIFACTS, LITESTREAM_VERSION, Artifact
from django_litestream.errors import DownloadError, LitestreamError

from .platform_wheel import PLATFORM_VARIABLE, REPOSITORY
from .sources import obtain

APP = "django-litestream"
NO_FINGERPRINT = (
    f"artifacts.toml has no size and SHA-256 of its file. `just pin {LITESTREAM_VERSION}` "
    "adds them where Litestream's release can be reached."
)


@dataclass(frozen=True, kw_only=True)
class Missing:
    """A wheel that was not built, as its file could not be had."""

    artifact: Artifact
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.artifact.distribution} for {self.artifact.platform}: {self.reason}"
        )


class BuildFailed(LitestreamError):
    """A build ended with an error; the message is what it printed."""


def build(artifact: Artifact, directory: Path) -> None:
    """Build the wheel with this file; raises ``BuildFailed``."""
    _hatchling(
        artifact.distribution,
        "wheel",
        directory,
        {PLATFORM_VARIABLE: artifact.platform},
    )


def build_app(directory: Path) -> None:
    """Build django-litestream's wheel and sdist; raises ``BuildFailed``."""
    for target in ("sdist", "wheel"):
        _hatchling(APP, target, directory, {})


def build_all(rows: Iterable[Artifact], directory: Path) -> list[Missing]:
    """Build the wheels of the rows whose files can be had; return the others.

    Raises ``ArtifactError`` where a file is another one than the table's, and
    ``BuildFailed``.
    """
    missing = []
    for row in rows:
        if row.fingerprint is None:
            missing.append(Missing(artifact=row, reason=NO_FINGERPRINT))
            continue
        try:
            obtain(row)
        except DownloadError as error:
            missing.append(Missing(artifact=row, reason=str(error)))
            continue
        build(row, directory)
    return missing


def remove_distributions(directory: Path) -> None:
    """Remove what an earlier build has left in ``directory``, and nothing else."""
    for name in {APP, *(row.distribution for row in ARTIFACTS)}:
        for suffix in (".whl", ".tar.gz"):
            for path in directory.glob(f"{name.replace('-', '_')}-*{suffix}"):
                path.unlink()


def _hatchling(
    project: str, target: str, directory: Path, environment: dict[str, str]
) -> None:
    completed = subprocess.run(
        [
            *(sys.executable, "-m", "hatchling", "build"),
            *("--target", target, "--directory", directory.resolve()),
        ],
        cwd=REPOSITORY / project,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    if completed.returncode:
        raise BuildFailed(" ".join(completed.stderr.split()))


def main(arguments: Sequence[str] | None = None) -> int:
    """Build what the command line asks for; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m build_hooks.all_wheels", description=__doc__
    )
    parser.add_argument(
        "--platform",
        nargs="+",
        action="extend",
        choices=sorted({row.platform for row in ARTIFACTS}),
        help="build these wheels only, and nothing of django-litestream",
    )
    parser.add_argument(
        "--allow-missing",
        action="store_true",
        help="succeed where the file of a platform cannot be had",
    )
    parser.add_argument("--outdir", type=Path, default=REPOSITORY / "dist")
    options = parser.parse_args(arguments)
    rows = [
        row
        for row in ARTIFACTS
        if not options.platform or row.platform in options.platform
    ]
    try:
        options.outdir.mkdir(parents=True, exist_ok=True)
        remove_distributions(options.outdir)
        missing = build_all(rows, options.outdir)
        if not options.platform:
            build_app(options.outdir)
    except (LitestreamError, OSError) as error:
        print(error, file=sys.stderr)
        return 1
    for path in sorted(options.outdir.iterdir()):
        print(f"{path.stat().st_size / 1_000_000:6.1f} MB  {path.name}")
    for one in missing:
        print(f"Left out: {one}", file=sys.stderr)
    if missing and not options.allow_missing:
        print("Give --allow-missing to succeed without them.", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
