"""Where a project's configuration file and control socket are kept.

A daemon and the commands that talk to it are started by different programs (a
unit of systemd, a login shell, a web worker) whose environments differ, so the
place depends on nothing but the user and the project's first database.
"""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import PrivateFileError

# Linux has 108 bytes for the path of a Unix socket and macOS 104, a closing NUL
# among them (unix(7), <sys/un.h>).
SOCKET_PATH_BYTES = 103

_SOCKET_NAME = "litestream.sock"
_CONFIGURATION_NAME = "litestream.yml"


def directory(database: Path) -> Path:
    """Return the directory of the project whose first database is ``database``.

    Nothing is made on disk.
    """
    project = hashlib.sha256(os.fsencode(database)).hexdigest()[:12]
    preferred = cache_directory() / project
    if len(os.fsencode(socket_path(preferred))) <= SOCKET_PATH_BYTES:
        return preferred
    return _temporary_directory() / project


def socket_path(directory: Path) -> Path:
    """Return the default path of the control socket in a project's directory."""
    return directory / _SOCKET_NAME


def write_configuration(directory: Path, text: str) -> Path:
    """Write a configuration for a process that has no one to clean up behind it.

    It takes the place of the one before, atomically. Raises ``PrivateFileError``
    where the directory cannot be made or is not this user's alone.
    """
    with _written(directory, text) as written, _errors_named(directory):
        return written.replace(directory / _CONFIGURATION_NAME)


@contextmanager
def temporary_configuration(directory: Path, text: str) -> Iterator[Path]:
    """Write a configuration that goes away with the block.

    Raises ``PrivateFileError`` as ``write_configuration`` does.
    """
    with _written(directory, text) as written:
        yield written


def made_directory(directory: Path) -> Path:
    """Make a project's directory, for this user alone, and return it.

    Raises ``PrivateFileError`` as ``write_configuration`` does.
    """
    with _errors_named(directory):
        _make_private(directory)
    return directory


@contextmanager
def temporary_directory(purpose: str) -> Iterator[Path]:
    """Make a directory of this user alone that goes away with the block.

    It is named before it is made: ``tempfile.TemporaryDirectory`` leaves it behind
    where a signal ends the process between the two.
    """
    directory = Path(tempfile.gettempdir(), f"litestream-{purpose}-{_new_name()}")
    try:
        directory.mkdir(mode=0o700)
        yield directory
    finally:
        shutil.rmtree(directory, ignore_errors=True)


@contextmanager
def _written(directory: Path, text: str) -> Iterator[Path]:
    made_directory(directory)
    path = directory / f"litestream-{_new_name()}.yml"
    try:
        with _errors_named(directory):
            path.touch(mode=0o600, exist_ok=False)
            path.write_text(text, encoding="utf-8")
        yield path
    finally:
        if path.exists():
            path.unlink()


def _new_name() -> str:
    return secrets.token_hex(8)


@contextmanager
def _errors_named(directory: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise PrivateFileError(
            f"Litestream's configuration cannot be written to {directory}: "
            f"{error.strerror or error}. Let this user write there."
        ) from error


def _make_private(directory: Path) -> None:
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    if os.name != "posix":
        return
    for path in (directory.parent, directory):
        status = path.lstat()
        if status.st_uid != os.geteuid():
            raise PrivateFileError(
                f"Litestream's configuration is not written to {directory}: "
                f"{path} belongs to another user. Remove it or run as that user."
            )
        path.chmod(0o700)


def cache_directory() -> Path:
    """Return this package's directory of this user.

    The user database says where, not ``HOME``: ``sudo`` and units of systemd leave
    another user's behind, or none.
    """
    if os.name != "posix":
        return Path.home() / "AppData" / "Local" / "django-litestream"
    import pwd  # does not exist on Windows

    try:
        home = Path(pwd.getpwuid(os.geteuid()).pw_dir)
    except KeyError:
        return _temporary_directory()
    if not os.access(home, os.W_OK | os.X_OK):
        return _temporary_directory()
    return home / ".cache" / "django-litestream"


def _temporary_directory() -> Path:
    user = os.geteuid() if os.name == "posix" else "user"
    return Path("/tmp" if os.name == "posix" else tempfile.gettempdir()) / (
        f"django-litestream-{user}"
    )
