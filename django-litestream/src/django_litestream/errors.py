"""Every error this package raises on purpose.

LitestreamError
├── ArtifactError       a file is not the one artifacts.toml names
├── DownloadError       a file that could not be had
├── BinaryNotFound      no Litestream executable anywhere
├── ExtensionNotFound   no Litestream VFS library anywhere
├── CommandFailed       Litestream ended with an error
├── UnknownDatabase     neither an alias nor a path
├── NotASQLiteFile      an alias Litestream cannot replicate
├── ConfigurationError  settings that ask for what cannot be
├── ListingFailed       the files of a replica could not be listed
├── MomentNotHeld       a moment before the oldest backup
├── PrivateFileError    no place for the configuration file
├── DaemonError         the daemon refused or talked nonsense
│   └── DaemonUnavailable   nobody answered in time
├── DaemonRunning       a second daemon was to be started
├── RestoreRunning      a second restore to the same path
├── RestoreUnsafe       a restore whose outcome would be no sound database
├── BackupBad           a backup that cannot be restored, or is stale
└── BackupUnchecked     a backup of which nothing could be found out

A setting of a wrong type raises Django's ``ImproperlyConfigured`` instead.
"""

from datetime import datetime


class LitestreamError(Exception):
    """A failure whose message says what happened and what to do about it."""


class ArtifactError(LitestreamError):
    """A file, or the table's row for it, is not what this package can trust."""


class DownloadError(LitestreamError):
    """No file came from where it was looked for."""


class BinaryNotFound(LitestreamError):
    """There is no Litestream executable in any of the places looked at."""


class ExtensionNotFound(LitestreamError):
    """There is no VFS library in any of the places looked at, or for this platform."""


class CommandFailed(LitestreamError):
    """Litestream ended with ``returncode``, which is not zero."""

    def __init__(self, message: str, *, returncode: int) -> None:
        super().__init__(message)
        self.returncode = returncode


class UnknownDatabase(LitestreamError):
    """A word names neither a database alias nor a path."""


class NotASQLiteFile(LitestreamError):
    """An alias is another kind of database, or has no file (``in_memory``)."""

    def __init__(self, message: str, *, in_memory: bool) -> None:
        super().__init__(message)
        self.in_memory = in_memory


class ConfigurationError(LitestreamError):
    """The settings, each right by itself, ask for something that cannot be."""


class ListingFailed(LitestreamError):
    """A replica could not be listed; the message is the reason, empty if unknown."""


class MomentNotHeld(LitestreamError, ValueError):
    """A moment of which the replica has nothing; ``oldest`` is the first it has."""

    def __init__(self, message: str, *, oldest: datetime) -> None:
        super().__init__(message)
        self.oldest = oldest


class PrivateFileError(LitestreamError):
    """The configuration cannot be kept where only this user reads it."""


class DaemonError(LitestreamError):
    """The daemon refused; ``status`` is that of HTTP, ``None`` without one."""

    def __init__(self, message: str, *, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class DaemonUnavailable(DaemonError):
    """Nothing answered on the control socket in time."""


class DaemonRunning(LitestreamError):
    """Another daemon replicates these databases already."""


class RestoreRunning(LitestreamError):
    """Another process restores to the same path."""


class RestoreUnsafe(LitestreamError):
    """What is at the path would spoil what is restored, or be spoilt by it."""


class BackupBad(LitestreamError):
    """The backup cannot be restored, or lacks the newest commit."""


class BackupUnchecked(LitestreamError):
    """Nothing could be found out about the backup."""
