"""Litestream's command line syntax on top of Django's.

Go's ``flag`` package writes ``-name VALUE`` or ``-name=VALUE``, with one dash or
two, and knows no abbreviations; ``argparse`` would read ``-force`` as ``-f orce``.
"""

from __future__ import annotations

import re
from argparse import SUPPRESS, ArgumentError, Namespace
from collections.abc import Iterator, Sequence
from copy import copy
from typing import Any

from django.core.management.base import CommandParser

from .subcommands import Flag

_SHORT_VERBOSITY = re.compile(r"-v[0-3]")
_TRUE = frozenset({"1", "t", "T", "true", "TRUE", "True"})
_FALSE = frozenset({"0", "f", "F", "false", "FALSE", "False"})


class SubcommandParser(CommandParser):
    """The parser of one subcommand.

    Known flags may stand anywhere. The other words, operands and the flags of a
    newer Litestream, are kept in their order in ``rest``.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self._go_flags: dict[str, Flag] = {}

    def add_flag(self, flag: Flag) -> None:
        """Take ``flag`` as Go's flag package does."""
        self._go_flags[flag.name] = flag
        options: dict[str, Any] = (
            {"action": "store_true"} if flag.value is None else {"metavar": flag.value}
        )
        self.add_argument(f"-{flag.name}", dest=flag.dest, help=flag.help, **options)

    def add_options_of(self, parser: CommandParser) -> None:
        """Take the options of ``parser`` as well, where they have been given."""
        for action in parser._actions:
            if action.option_strings and action.dest not in {"help", "version"}:
                taken = copy(action)
                taken.default = taken.help = SUPPRESS
                self._add_action(taken)

    def parse_known_args(  # type: ignore[override]
        self, args: Sequence[str] | None = None, namespace: Any = None
    ) -> tuple[Namespace, list[str]]:
        try:
            djangos, given, rest = self._split(list(args or ()))
        except ArgumentError as error:
            self.error(str(error))
        parsed, unknown = super().parse_known_args(djangos, namespace)
        for name, value in given.items():
            setattr(parsed, name, value)
        parsed.rest = rest
        return parsed, unknown

    def _split(self, args: list[str]) -> tuple[list[str], dict[str, Any], list[str]]:
        """Return Django's options, what flags were given, and the other words."""
        djangos: list[str] = []
        given: dict[str, Any] = {}
        rest: list[str] = []
        words = iter(args)
        for word in words:
            name, equals, value = word.partition("=")
            if word == "--":
                rest.extend([word, *words])
            elif name.startswith("-") and (
                flag := self._go_flags.get(name.lstrip("-"))
            ):
                if flag.value is None:
                    given[flag.dest] = _switch(flag, value if equals else "true")
                else:
                    given[flag.dest] = value if equals else _next(words, name)
            elif _SHORT_VERBOSITY.fullmatch(word):
                djangos.append(word)
            elif action := self._option_string_actions.get(name):
                djangos.append(word)
                if not equals and action.nargs != 0:
                    djangos.append(_next(words, name))
            else:
                rest.append(word)
        return djangos, given, rest


def _next(words: Iterator[str], name: str) -> str:
    for word in words:
        return word
    raise ArgumentError(None, f"{name} needs a value")


def _switch(flag: Flag, value: str) -> bool:
    if value not in _TRUE | _FALSE:
        raise ArgumentError(None, f"-{flag.name} is true or false, not '{value}'")
    return value in _TRUE
