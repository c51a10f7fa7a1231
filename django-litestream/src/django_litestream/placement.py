"""Files put in place whole and checked, or not at all."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from .artifacts import Artifact, Fingerprint
from .errors import ArtifactError
from .locking import exclusive

# For the disk, beyond what the bringing of a file is allowed itself.
_SPARE_SECONDS = 60.0

_ADVICE = {
    errno.EACCES: "Let this user write there, or name",
    errno.EPERM: "Let this user write there, or name",
    errno.ENOSPC: "Make room, or name",
    errno.EDQUOT: "Make room, or name",
    errno.EFBIG: "Raise the limit for the size of files, or name",
}


@contextmanager
def placing(destination: Path, *, patience: float) -> Iterator[Path]:
    """Hold ``destination`` for one process; yield an empty directory beside it.

    The directory goes with the block, or with the next block where this process is
    killed. ``patience`` is the number of seconds to wait for another process. Raises
    ``DownloadError`` after that, ``ArtifactError`` for every ``OSError`` of the block,
    which it takes for one of writing.
    """
    scratch = destination.with_name(f".{destination.name}.partial")
    lock = destination.with_name(f".{destination.name}.lock")
    try:
        destination.parent.mkdir(parents=True, exist_ok=True)
        with exclusive(lock, patience=patience + _SPARE_SECONDS):
            _remove(scratch)
            try:
                scratch.mkdir(mode=0o700)
                yield scratch
            finally:
                _remove(scratch)
    except OSError as error:
        raise _not_written(destination, error) from error


def put(artifact: Artifact, staged: Path, destination: Path, *, source: str) -> None:
    """Give the file ``staged`` its final name if it is the one of ``artifact``.

    Raises ``ArtifactError``, which names the ``source``, where it is another one, and
    ``OSError``.
    """
    found = Fingerprint.of(staged)
    if found != artifact.expected:
        raise ArtifactError(
            f"{source} has another file than {artifact}: expected {artifact.expected}, "
            f"found {found}. Do not use it: take it from elsewhere, or install the "
            f"package {artifact.distribution}."
        )
    staged.chmod(0o755)
    with staged.open("rb+") as file:
        # Else a power cut may leave the name with nothing in the file.
        os.fsync(file.fileno())
    staged.replace(destination)


def is_in_place(artifact: Artifact, destination: Path) -> bool:
    """Whether ``destination`` is the file of ``artifact`` and can be executed."""
    try:
        found = Fingerprint.of(destination)
    except OSError:
        return False
    return found == artifact.expected and os.access(destination, os.X_OK)


def _remove(directory: Path) -> None:
    with suppress(FileNotFoundError):
        shutil.rmtree(directory)


def _not_written(destination: Path, error: OSError) -> ArtifactError:
    reason = error.strerror or str(error)
    if error.filename and destination.parent not in Path(error.filename).parents:
        reason += f": {error.filename}"
    advice = _ADVICE.get(error.errno or 0, "Name")
    if os.name == "nt" and isinstance(error, PermissionError) and destination.exists():
        advice = "End what runs from it, or name"
    return ArtifactError(
        f"{destination} cannot be written: {reason}. {advice} another directory with "
        "-dest."
    )
