"""What the documentation names is what there is, and all of it."""

from __future__ import annotations

import ast
import json
import os
import re
import shlex
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

import django_litestream
from django_litestream import binaries, reasons, replicas
from django_litestream.artifacts import ARTIFACTS
from django_litestream.redaction import SECRET_VARIABLES
from django_litestream.settings_validation import LITESTREAM_KEYS, OPTIONS
from django_litestream.subcommands import OWN_SUBCOMMANDS, SUBCOMMANDS

from .documents import BLOCKS, PAGES, REPOSITORY, Block, Page, first_column, terms

COMMANDS = PAGES["docs/commands.md"]
CONFIGURATION = PAGES["docs/configuration.md"]
INSTALLATION = PAGES["docs/installation.md"]
READ_REPLICAS = PAGES["docs/read-replicas.md"]
TROUBLESHOOTING = PAGES["docs/troubleshooting.md"]

KNOWN = {**SUBCOMMANDS, **OWN_SUBCOMMANDS}
# What manage.py takes itself, and Go's flag package.
FLAGS_OF_ALL = {"-h", "--verbosity"}
PACKAGE = Path(django_litestream.__file__).parent


def test_the_settings_are_the_codes() -> None:
    assert _documented(CONFIGURATION, "## Settings", of=OPTIONS) == set(OPTIONS)


def test_the_keys_of_replicas_are_the_codes() -> None:
    named = Counter(first_column(READ_REPLICAS.section("## Keys")))
    assert named == Counter([*replicas._KEYS, *replicas._GENERAL])


@pytest.mark.parametrize(
    ("key", "default"),
    [
        ("primary", '`"default"`'),
        ("route", "`True`"),
        ("poll_interval", "1 s"),
        ("open_timeout", "10 s"),
        ("max_lag_seconds", "60 s"),
        ("hydration", "`False`"),
    ],
)
def test_the_defaults_of_replicas_are_the_codes(key: str, default: str) -> None:
    section = READ_REPLICAS.section("## Keys")
    row = next(line for line in section.splitlines() if line.startswith(f"| `{key}`"))
    assert row.endswith(f"| {default} |")
    told = default.strip("`").removesuffix(" s").strip('"')
    assert told == f"{getattr(replicas.Replica, key)}".removesuffix(".0")


def test_the_subcommands_are_the_codes() -> None:
    introduction = COMMANDS.prose.partition("\n## ")[0]
    assert Counter(first_column(introduction)) == Counter(KNOWN.keys())


@pytest.mark.parametrize("name", OWN_SUBCOMMANDS)
def test_the_flags_of_our_subcommands_are_the_codes(name: str) -> None:
    title = next(
        line
        for line in COMMANDS.prose.splitlines()
        if line.startswith("## ") and name in line.split()
    )
    named = [word.split() for word in first_column(COMMANDS.section(title))]
    assert Counter(map(tuple, (words for words in named if words[0][0] == "-"))) == (
        Counter(
            (f"-{flag.name}", flag.value) if flag.value else (f"-{flag.name}",)
            for flag in OWN_SUBCOMMANDS[name].flags
        )
    )


def test_the_system_checks_are_the_codes() -> None:
    there_are = {
        f"litestream.{identifier}"
        for path in PACKAGE.rglob("*.py")
        for identifier in re.findall(
            r'id="(?:litestream\.)?([EW]\d+)"', path.read_text()
        )
    }
    section = TROUBLESHOOTING.section("## System checks")
    assert Counter(first_column(section)) == Counter(there_are)
    named = {
        name
        for page in PAGES.values()
        for name in re.findall(r"litestream\.[EW]\d+", page.text)
    }
    assert named <= there_are


def test_the_wheels_are_those_of_the_table() -> None:
    section = INSTALLATION.section("## What there is for your machine")
    tags = [
        code for row in section.splitlines() if row[:1] == "|" for code in _code(row)
    ]
    named = Counter(tag for tag in tags if "_" in tag)
    assert named == Counter(row.wheel_tag.rpartition("none-")[2] for row in ARTIFACTS)


def test_the_platforms_are_those_of_the_table() -> None:
    named = re.findall(r"`((?:linux|darwin|windows)-\w+)`", COMMANDS.prose)
    assert set(named) == {row.platform for row in ARTIFACTS}


def test_keys_of_litestream_are_ones_that_it_has() -> None:
    for block in filter(lambda block: block.is_settings, BLOCKS):
        for key in _keys_of_litestream(block):
            assert key in LITESTREAM_KEYS | OPTIONS.keys(), f"{block}: {key}"


@pytest.mark.parametrize("kind", ["abs", "file", "gs", "nats", "s3", "sftp", "webdav"])
def test_each_kind_of_replica_has_an_example(kind: str) -> None:
    examples = "".join(block.text for block in CONFIGURATION.blocks)
    assert f'"type": "{kind}"' in examples


@pytest.mark.parametrize("page", PAGES.values(), ids=PAGES)
def test_commands_that_are_named_are_understood(page: Page) -> None:
    for words in _litestream_commands(page):
        assert words[0] in KNOWN, f"There is no `litestream {words[0]}`."
        flags = {f"-{flag.name}" for flag in KNOWN[words[0]].flags} | FLAGS_OF_ALL
        given = {word.partition("=")[0] for word in words[1:] if word[0] == "-"}
        assert given <= flags, f"litestream {words[0]} takes no {given - flags}"


@pytest.mark.parametrize("message", terms(TROUBLESHOOTING.prose))
def test_a_message_is_one_that_there_is(message: str) -> None:
    pieces = [piece.strip() for piece in message.split("...")]
    ours = all(_is_ours(piece) for piece in pieces)
    assert ours or all(piece.encode() in _files() for piece in pieces)


@pytest.mark.parametrize("pattern", [pattern for pattern, _ in reasons._REMEDIES])
def test_an_error_of_litestream_that_the_command_explains_is_on_the_page(
    pattern: re.Pattern[str],
) -> None:
    # In a message a space follows a colon.
    assert any(pattern.search(f"{term} ") for term in terms(TROUBLESHOOTING.prose))


def test_the_variables_of_the_environment_are_ones_that_are_read() -> None:
    pattern = r"(?:AWS|GOOGLE|LITESTREAM)_[A-Z0-9_]+"
    ours = {
        name
        for path in PACKAGE.rglob("*.py")
        for name in re.findall(f'"({pattern})"', path.read_text(encoding="utf-8"))
    }
    named = set(re.findall(pattern, CONFIGURATION.text))
    assert not [name for name in named - ours if name.encode() not in _files()]
    # Some that nothing reads are hidden all the same, should they be there.
    unread = {name for name in SECRET_VARIABLES if name.encode() not in _files()}
    assert ours - unread <= named


def test_links_inside_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES["README.md"].text)
    assert not [link for link in links if not (REPOSITORY / link).exists()]


@cache
def _files() -> bytes:
    """Return the executable and, where there is one, the VFS library."""
    found = [binaries.find_executable()]
    if os.name != "nt":
        found.append(binaries.find_extension())
    return b"".join(path.read_bytes() for path in found)


@cache
def _our_texts() -> list[str]:
    """Return the package's strings; a ``\\0`` stands for what is put into them."""
    return [
        text
        for path in PACKAGE.rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if (text := _text(node))
    ]


def _is_ours(piece: str) -> bool:
    """Whether a message of ours can have ``piece``, if in part put in from another."""
    if any(piece in text for text in _our_texts()):
        return True
    for text in _our_texts():
        for before, after in pairwise(text.split("\0")):
            for end in range(1, len(piece)):
                if not before.endswith(piece[:end]):
                    continue
                put_in = piece[end:]
                if after and after in put_in:
                    put_in = put_in.partition(after)[0]
                elif (start := _overlap(put_in, after)) > 0:
                    put_in = put_in[:-start]
                if len(put_in) > 3 and any(put_in in one for one in _our_texts()):
                    return True
    return False


def _overlap(text: str, following: str) -> int:
    """Return how many characters at the end of ``text`` are the start of the other."""
    return next(
        (n for n in range(len(text), 0, -1) if following.startswith(text[-n:])), 0
    )


def _text(node: ast.AST) -> str:
    match node:
        case ast.Constant(value=str(value)):
            return value
        case ast.JoinedStr(values=values):
            return "".join(_text(value) or "\0" for value in values)
        case ast.BinOp(left=left, op=ast.Add(), right=right):
            return (_text(left) or "\0") + (_text(right) or "\0")
    return ""


def _documented(page: Page, heading: str, *, of: Any) -> set[str]:
    named = first_column(page.section(heading))
    assert len(named) == len(set(named))
    return set(named)


def _code(text: str) -> list[str]:
    return re.findall(r"`([^`]+)`", text)


def _keys_of_litestream(block: Block) -> Iterator[str]:
    """Give the keys of ``LITESTREAM`` at any depth, without those of its ``vfs``."""
    for node in ast.parse(block.text).body:
        match node:
            case ast.Assign(
                targets=[ast.Name(id="LITESTREAM")], value=ast.Dict() as top
            ):
                dictionaries = [
                    inner
                    for key, value in zip(top.keys, top.values, strict=True)
                    if ast.unparse(key or value) != "'vfs'"
                    for inner in ast.walk(value)
                    if isinstance(inner, ast.Dict)
                ]
                for dictionary in [top, *dictionaries]:
                    for key in dictionary.keys:
                        if isinstance(key, ast.Constant):
                            yield str(key.value)


def _litestream_commands(page: Page) -> Iterator[list[str]]:
    """Give the words after ``manage.py litestream`` wherever a page has them."""
    lines = [line for block in page.blocks for line in block.text.splitlines()]
    for text in [*page.inline_code, *lines]:
        if '"litestream", ' in text and text.startswith(("CMD", "ENTRYPOINT")):
            words = json.loads(text.partition(" ")[2])
            yield words[words.index("litestream") + 1 :]
        elif found := re.search(r"manage\.py litestream (?P<words>[a-z].*)", text):
            # It may be the end of what another command is given between quotes.
            typed = found["words"]
            closed = typed if typed.count("'") % 2 == 0 else typed.rstrip("'")
            words = shlex.split(closed, comments=True)
            yield [word for word in words if word != "&"]
