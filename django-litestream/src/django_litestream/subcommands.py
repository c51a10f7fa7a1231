"""Litestream's subcommands and flags as data, and the command line built from them.

The tables hold what ``litestream SUBCOMMAND -h`` of the version in
``artifacts.toml`` lists; a test holds them against the binary's own help.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from typing import Any


class Operand(Enum):
    """What a subcommand takes after its flags, as its usage line shows it."""

    NONE = ""
    DATABASE = "DATABASE"
    DATABASE_OR_URL = "DATABASE | REPLICA_URL"
    DATABASE_AND_URLS = "[DATABASE REPLICA_URL ...]"
    DATABASES = "[DATABASE ...]"
    REPLICAS = "[ALIAS ...]"


@dataclass(frozen=True, kw_only=True)
class Flag:
    """One flag of Go's ``flag`` package: ``-name`` or, with ``value``, ``-name VALUE``.

    ``value`` is the placeholder shown in help; ``None`` makes the flag a switch.
    """

    name: str
    help: str
    value: str | None = None

    @property
    def dest(self) -> str:
        """The keyword that ``call_command`` takes for this flag."""
        return self.name.replace("-", "_")


@dataclass(frozen=True, kw_only=True)
class Subcommand:
    """A subcommand of the Litestream binary, or one of this package's own."""

    name: str
    help: str
    flags: tuple[Flag, ...] = field(default=())
    operand: Operand = Operand.NONE

    def takes(self, flag: Flag) -> bool:
        """Whether ``flag`` may be given to this subcommand."""
        return flag in self.flags


CONFIG = Flag(
    name="config",
    value="PATH",
    help="use this Litestream configuration instead of the one made from settings",
)
NO_EXPAND_ENV = Flag(
    name="no-expand-env",
    help="do not expand $NAME in the configuration (the default for settings)",
)
SOCKET = Flag(
    name="socket",
    value="PATH",
    help="the daemon's control socket (default: the one from settings)",
)
JSON = Flag(name="json", help="print JSON")
DRY_RUN = Flag(name="dry-run", help="print what would be done and do nothing")
TIMEOUT = Flag(name="timeout", value="SECONDS", help="wait at most this long")

LTX = Subcommand(
    name="ltx",
    help="list the LTX files of a database or a replica",
    flags=(
        CONFIG,
        NO_EXPAND_ENV,
        Flag(name="level", value="LEVEL", help='compaction level, 0 to 9 or "all" (0)'),
        JSON,
    ),
    operand=Operand.DATABASE_OR_URL,
)

SUBCOMMANDS: Mapping[str, Subcommand] = {
    subcommand.name: subcommand
    for subcommand in (
        Subcommand(
            name="databases",
            help="list the configured databases",
            flags=(CONFIG, JSON, NO_EXPAND_ENV),
        ),
        Subcommand(
            name="info",
            help="show the running daemon",
            flags=(JSON, SOCKET, TIMEOUT),
        ),
        Subcommand(
            name="list",
            help="list the databases the running daemon manages",
            flags=(JSON, SOCKET, TIMEOUT),
        ),
        LTX,
        Subcommand(
            name="register",
            help="have the running daemon replicate one more database",
            flags=(
                Flag(name="replica", value="URL", help="where to replicate to"),
                TIMEOUT,
                SOCKET,
                JSON,
            ),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="replicate",
            help="run the daemon that replicates the databases",
            flags=(
                CONFIG,
                Flag(
                    name="exec",
                    value="CMD",
                    help="run this command and stop when it ends",
                ),
                Flag(name="once", help="replicate what there is and end"),
                Flag(
                    name="force-snapshot",
                    help="take a snapshot of every database (with -once)",
                ),
                Flag(
                    name="enforce-retention",
                    help="remove snapshots past their retention (with -once)",
                ),
                Flag(
                    name="log-level",
                    value="LEVEL",
                    help="trace, debug, info, warn or error",
                ),
                NO_EXPAND_ENV,
                Flag(
                    name="restore-if-db-not-exists",
                    help="restore a database that is missing before replicating it",
                ),
            ),
            operand=Operand.DATABASE_AND_URLS,
        ),
        Subcommand(
            name="reset",
            help="forget the local replication state of a database",
            flags=(CONFIG, NO_EXPAND_ENV, DRY_RUN),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="restore",
            help="restore a database from its replica",
            flags=(
                CONFIG,
                NO_EXPAND_ENV,
                Flag(
                    name="txid",
                    value="TXID",
                    help="restore up to this transaction (hexadecimal)",
                ),
                Flag(
                    name="timestamp",
                    value="TIMESTAMP",
                    help="restore to this moment (RFC 3339)",
                ),
                Flag(
                    name="o",
                    value="PATH",
                    help="write the database here (default: its own path)",
                ),
                Flag(
                    name="if-db-not-exists",
                    help="succeed and do nothing where the database exists",
                ),
                Flag(
                    name="if-replica-exists",
                    help="succeed and do nothing where there is no backup",
                ),
                DRY_RUN,
                Flag(name="force", help="overwrite an existing database"),
                JSON,
                Flag(name="f", help="go on applying new transactions (follow)"),
                Flag(
                    name="follow-interval",
                    value="DURATION",
                    help="how often -f polls the replica (1s)",
                ),
                Flag(
                    name="parallelism",
                    value="NUM",
                    help="how many files are fetched at a time (8)",
                ),
                Flag(
                    name="integrity-check",
                    value="MODE",
                    help="check the restored database: none, quick or full (none)",
                ),
            ),
            operand=Operand.DATABASE_OR_URL,
        ),
        Subcommand(
            name="start",
            help="start replication of a database in the running daemon",
            flags=(TIMEOUT, SOCKET, JSON),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="status",
            help="show the local replication state of the databases",
            flags=(CONFIG, JSON, NO_EXPAND_ENV),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="stop",
            help="stop replication of a database in the running daemon",
            flags=(TIMEOUT, SOCKET, JSON),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="sync",
            help="have the running daemon replicate a database now",
            flags=(
                Flag(name="wait", help="wait until the replica holds it"),
                TIMEOUT,
                SOCKET,
                JSON,
            ),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="unregister",
            help="have the running daemon forget a database",
            flags=(TIMEOUT, SOCKET, DRY_RUN, JSON),
            operand=Operand.DATABASE,
        ),
        Subcommand(
            name="version",
            help="print Litestream's version",
            flags=(Flag(name="verbose", help="print the build's details too"),),
        ),
        Subcommand(
            name="wal",
            help="deprecated by Litestream: another name of ltx",
            flags=LTX.flags,
            operand=LTX.operand,
        ),
    )
}

INSTALL_FLAGS = (
    Flag(
        name="platform",
        value="NAME",
        help="the platform it is for, such as linux-arm64 (this one)",
    ),
    Flag(
        name="dest",
        value="DIR",
        help="where to put it (the virtual environment)",
    ),
    Flag(
        name="from",
        value="SOURCE",
        help="a directory or the URL of a mirror (Litestream's release)",
    ),
)

OWN_SUBCOMMANDS: Mapping[str, Subcommand] = {
    subcommand.name: subcommand
    for subcommand in (
        Subcommand(
            name="config",
            help="print the Litestream configuration made from settings",
            flags=(
                Flag(name="show-secrets", help="print passwords and keys as they are"),
            ),
        ),
        Subcommand(
            name="install",
            help="download the Litestream executable",
            flags=INSTALL_FLAGS,
        ),
        Subcommand(
            name="vfs-status",
            help="show how far behind the read replicas are",
            flags=(JSON,),
            operand=Operand.REPLICAS,
        ),
        Subcommand(
            name="verify",
            help="prove that the newest commit of each database can be restored",
            flags=(
                Flag(
                    name="timeout",
                    value="SECONDS",
                    help="how long to wait for a lock or for the replica (30)",
                ),
                JSON,
            ),
            operand=Operand.DATABASES,
        ),
        Subcommand(
            name="vfs-install",
            help="download the Litestream VFS library",
            flags=INSTALL_FLAGS,
        ),
    )
}


def is_url(word: str) -> bool:
    """Whether Litestream takes ``word`` for a replica URL and not for a path."""
    return "://" in word


def command_line(
    subcommand: Subcommand,
    options: Mapping[str, Any],
    rest: list[str],
    *,
    resolve: Callable[[str], str],
) -> list[str]:
    """Return the words that follow the executable, flags first as Go needs them.

    ``options`` maps each flag's ``dest`` to its value, ``None`` or ``False``
    where it is not given. ``rest`` holds the operands and the flags that this
    package does not know, as they were typed. ``resolve`` turns the word that
    names a database, an alias or a path, into the path Litestream knows it by.
    """
    words = [subcommand.name]
    for flag in subcommand.flags:
        value = options.get(flag.dest)
        if flag.value is not None and value is not None:
            words += [f"-{flag.name}", str(value)]
        elif flag.value is None and value:
            words.append(f"-{flag.name}")
    return words + _resolved(subcommand, _operands_last(rest), resolve)


def operands(subcommand: Subcommand, words: Sequence[str]) -> list[str]:
    """Return the words of a command line that are no flags, nor values of known ones."""
    valued = {f"-{flag.name}" for flag in subcommand.flags if flag.value is not None}
    found = []
    given = iter(words)
    for word in given:
        if word in valued:
            next(given, None)
        elif not _is_flag(word):
            found.append(word)
    return found


def _operands_last(rest: list[str]) -> list[str]:
    first_flag = next(
        (index for index, word in enumerate(rest) if _is_flag(word)), len(rest)
    )
    return rest[first_flag:] + rest[:first_flag]


def _resolved(
    subcommand: Subcommand, rest: list[str], resolve: Callable[[str], str]
) -> list[str]:
    if subcommand.operand is Operand.NONE:
        return rest
    # The word after a flag of a newer Litestream may be that flag's value, so
    # only the place where the database must stand is looked at: the first of
    # `replicate DATABASE URL...`, the last elsewhere.
    operands = [index for index, word in enumerate(rest) if not _is_flag(word)]
    if subcommand.operand is Operand.DATABASE_AND_URLS:
        if not any(is_url(word) for word in rest):
            return rest
        operands = [index for index in operands if not is_url(rest[index])]
    if not operands or is_url(rest[operands[-1]]):
        return rest
    place = operands[-1]
    return [*rest[:place], resolve(rest[place]), *rest[place + 1 :]]


def _is_flag(word: str) -> bool:
    return word.startswith("-") and word != "-"
