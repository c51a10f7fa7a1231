"""``manage.py litestream``: Litestream's subcommands on Django's aliases, and ours."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from django.core.exceptions import ImproperlyConfigured
from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.db import connections

from ... import (
    config,
    daemon,
    databases,
    install,
    process,
    replica_status,
    restarted_wal,
    restoring,
)
from ...artifacts import LITESTREAM_VERSION
from ...binaries import EXECUTABLE, LIBRARY, Kind
from ...configuration import Configuration
from ...errors import CommandFailed, LitestreamError
from ...go_flags import SubcommandParser
from ...handing_over import handing_over
from ...invocation import (
    Litestream,
    Show,
    known_configuration,
    known_socket,
    plan,
    socket_for,
    usable_configuration,
)
from ...log_lines import is_of_log
from ...one_daemon import only_one
from ...reasons import explain_os_error
from ...replica_status import Health
from ...subcommands import OWN_SUBCOMMANDS, SUBCOMMANDS
from ...sync import can_be_asked_here, sync
from ...verify import Verifier
from ...verify_report import Verdict


class Command(BaseCommand):
    help = (
        "Runs Litestream on the databases of settings.LITESTREAM. Wherever a "
        "subcommand takes a DATABASE, that is a Django alias or a path."
    )
    # A restore after a disaster must not wait for the rest of the project to be
    # well; what is wrong with our own settings is an error of the command.
    requires_system_checks = ()
    _from_shell = False

    def add_arguments(self, parser: CommandParser) -> None:
        subparsers = parser.add_subparsers(
            dest="subcommand",
            metavar="SUBCOMMAND",
            required=True,
            parser_class=SubcommandParser,
        )
        for name, subcommand in {**SUBCOMMANDS, **OWN_SUBCOMMANDS}.items():
            subparser = subparsers.add_parser(
                name,
                help=subcommand.help,
                description=f"{subcommand.help[0].upper()}{subcommand.help[1:]}.",
                usage=f"%(prog)s [flags] {subcommand.operand.value}".rstrip(),
                epilog="Django's own options, such as --settings, are taken too. A flag "
                "that is not listed is passed on to Litestream.",
            )
            for flag in subcommand.flags:
                subparser.add_flag(flag)
            subparser.add_options_of(parser)

    def run_from_argv(self, argv: list[str]) -> None:
        self._from_shell = True
        process.end_cleanly_at_signals()
        with process.ending_with_its_reader():
            super().run_from_argv(argv)

    def handle(self, *args: Any, **options: Any) -> None:
        subcommand = options["subcommand"]
        _refuse_foreign_flags(subcommand, options)
        try:
            match subcommand:
                case "config":
                    self._config(options)
                case "verify":
                    self._verify(options)
                case "install":
                    self._install(EXECUTABLE, options)
                case "vfs-install":
                    self._install(LIBRARY, options)
                case "vfs-status":
                    self._vfs_status(options)
                case "sync" if can_be_asked_here(options["rest"]):
                    self._sync(options)
                case _:
                    self._litestream(subcommand, options)
        except CommandFailed as error:
            raise _failure(subcommand, str(error), error.returncode) from error
        except (LitestreamError, ImproperlyConfigured) as error:
            raise _failure(subcommand, str(error)) from error
        except OSError as error:
            # One that names no file is no mistake of the user's.
            if error.filename is None:
                raise
            raise _failure(subcommand, explain_os_error(error)) from error

    def _litestream(self, subcommand: str, options: dict[str, Any]) -> None:
        arguments, configuration = plan(subcommand, options, options["rest"])
        if configuration:
            self._warn(*configuration.left_out)
        litestream = self._runner(configuration, options)
        match subcommand:
            case "restore":
                restoring.refuse_if_replicated(arguments, known_configuration())
                self._run(litestream, arguments, options)
            case "replicate":
                if configuration:
                    daemon.refuse_unwritable(configuration)
                    arguments = daemon.with_first_sync(configuration, arguments)
                self._replicate(litestream, arguments, options)
            case "reset":
                with daemon.resetting(
                    configuration, arguments[1:], socket=known_socket()
                ):
                    self._run(litestream, arguments, options)
            case "register":
                socket = Path(options["socket"] or socket_for(subcommand))
                daemon.prepare_register(config.build(), arguments[1:], socket=socket)
                self._run(litestream, arguments, options)
            case "start":
                socket = Path(options["socket"] or socket_for(subcommand))
                with daemon.starting(
                    config.build(),
                    arguments[1:],
                    socket=socket,
                    holds=self._from_shell,
                ):
                    self._run(litestream, arguments, options)
            case _:
                self._run(litestream, arguments, options)
        if subcommand == "sync":
            self._warn(daemon.SYNC_IS_NOT_SAFE)

    def _replicate(
        self, litestream: Litestream, arguments: list[str], options: dict[str, Any]
    ) -> None:
        configuration = litestream.configuration
        entries = configuration.mapping["dbs"] if configuration else []
        restoring.refuse_at_start(arguments, entries)
        claim = daemon.claim(configuration, arguments[1:])
        if process.CAN_BECOME and not self._from_shell:
            self._run(litestream, arguments, options, through=handing_over(claim))
            return
        with only_one(claim):
            if process.CAN_BECOME:
                connections.close_all()
                for path, metadata in claim.metadata.items():
                    restarted_wal.hand_over(path, metadata)
                litestream.become(arguments)
            for path, metadata in claim.metadata.items():
                restarted_wal.empty(path, metadata)
            self._run(litestream, arguments, options)

    def _run(
        self,
        litestream: Litestream,
        arguments: list[str],
        options: dict[str, Any],
        *,
        through: Sequence[str] = (),
    ) -> None:
        out: Show = partial(self.stdout.write, ending="")
        err: Show = partial(self.stderr.write, style_func=str, ending="")
        if options.get("json"):
            out = _without_log(out, err)
        litestream.run(arguments, out=out, err=err, through=through)

    def _sync(self, options: dict[str, Any]) -> None:
        (name,) = options["rest"]
        synced = sync(
            Path(options["socket"] or socket_for("sync")),
            databases.find(name).path,
            wait=options["wait"],
            timeout=_seconds(options["timeout"]),
        )
        self.stdout.write(synced.as_json() if options["json"] else str(synced))

    def _config(self, options: dict[str, Any]) -> None:
        self._refuse(options["rest"])
        configuration = config.build()
        self._warn(*configuration.left_out)
        if unset := config.unset_references(configuration):
            self._warn(f"{unset} is not set: Litestream will have no bucket.")
        self.stdout.write(
            configuration.to_yaml(show_secrets=options["show_secrets"]), ending=""
        )

    def _install(self, kind: Kind, options: dict[str, Any]) -> None:
        self._refuse(options["rest"])
        path = install.install(
            kind,
            platform=options["platform"],
            directory=Path(options["dest"]) if options["dest"] else None,
            source=options["from"],
            progress=options["verbosity"] > 0,
        )
        self.stdout.write(f"Litestream {LITESTREAM_VERSION} is in {path}")

    def _vfs_status(self, options: dict[str, Any]) -> None:
        self._refuse([name for name in options["rest"] if name.startswith("-")])
        statuses = replica_status.look_at(*options["rest"])
        colours = {
            Health.HEALTHY: self.style.SUCCESS,
            Health.LAGGING: self.style.WARNING,
        }
        if options["json"]:
            told = [
                one.as_dict() | {"status": one.health.value, "reason": one.reason}
                for one in statuses
            ]
            self.stdout.write(json.dumps(told, indent=2))
        else:
            for one in statuses:
                colour = colours.get(one.health, self.style.ERROR)
                self.stdout.write(f"{one.alias}: {colour(one.health.value)}")
                self.stdout.write("\n".join(one.lines))
        if unwell := [one for one in statuses if one.health is not Health.HEALTHY]:
            raise CommandError(
                "Not healthy: "
                + ", ".join(f"{one.alias} ({one.health.value})" for one in unwell)
            )

    def _verify(self, options: dict[str, Any]) -> None:
        names = options["rest"]
        self._refuse([name for name in names if name.startswith("-")])
        configuration = usable_configuration()
        self._warn(*configuration.left_out)
        chosen = [databases.find(name) for name in names] or [
            *configuration.databases,
            *configuration.directory_files(),
        ]
        not_found = [] if names else configuration.not_found()
        for database in chosen:
            configuration.require(database)
            configuration = configuration.naming(database)
        with self._runner(configuration, options).asking() as ask:
            verifier = Verifier(
                ask=ask,
                socket=configuration.socket,
                timeout=_seconds(options["timeout"]),
            )
            reports = []
            for database in chosen:
                reports.append(verifier.verify(database))
                if not options["json"]:
                    self.stdout.write(str(reports[-1]))
        # Of a good backup, cron mails this alone.
        self._warn(*filter(None, (one.warning for one in reports)))
        if options["json"]:
            self.stdout.write(json.dumps([one.as_dict() for one in reports], indent=2))
        for verdict in (Verdict.BAD, Verdict.UNCHECKED):
            wrong = [one for one in reports if one.verdict is verdict]
            if wrong or (not_found and verdict is Verdict.UNCHECKED):
                told = (f"{one.database.label}: {one.reason}" for one in wrong)
                raise CommandError(" ".join([*told, *not_found]), returncode=verdict)

    def _runner(
        self, configuration: Configuration | None, options: dict[str, Any]
    ) -> Litestream:
        return Litestream(
            executable=install.executable(progress=options["verbosity"] > 0),
            configuration=configuration,
            show=self.stderr.write if options["verbosity"] > 1 else None,
        )

    def _warn(self, *warnings: str) -> None:
        for warning in warnings:
            self.stderr.write(self.style.WARNING(f"Warning: {warning}"))

    def _refuse(self, words: list[str]) -> None:
        if words:
            raise CommandError(f"Not understood: {' '.join(words)}", returncode=2)


def _refuse_foreign_flags(name: str, options: dict[str, Any]) -> None:
    """Raise ``TypeError``, as ``call_command`` does, for another subcommand's flag."""
    known = {**SUBCOMMANDS, **OWN_SUBCOMMANDS}
    own = {flag.dest for flag in known[name].flags}
    others = {flag.dest for one in known.values() for flag in one.flags} - own
    if given := sorted(others & options.keys()):
        raise TypeError(f"litestream {name} has no option {', '.join(given)}.")


def _failure(subcommand: str, message: str, returncode: int = 1) -> CommandError:
    # An exit status of 1 would say of verify that the backup is bad.
    if subcommand == "verify":
        returncode = Verdict.UNCHECKED
    return CommandError(message, returncode=returncode)


def _without_log(out: Show, err: Show) -> Show:
    """Return what passes JSON on to ``out``, and to ``err`` the log that is within."""

    def pass_on(line: str) -> None:
        (err if is_of_log(line) else out)(line)

    return pass_on


def _seconds(value: Any) -> float:
    if value is None:
        return 30.0
    try:
        seconds = float(value)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise CommandError(
            f"-timeout is a number of seconds above 0, not '{value}'.", returncode=2
        )
    return seconds
