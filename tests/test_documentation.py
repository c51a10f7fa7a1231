"""The documentation, held against what it speaks of: its blocks run, its tables compared."""

from __future__ import annotations

import ast
import configparser
import json
import os
import re
import shlex
import subprocess
import tomllib
from collections import Counter
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import yaml

import django_litestream
from django_litestream import binaries, replicas
from django_litestream.artifacts import ARTIFACTS
from django_litestream.conf import LITESTREAM_KEYS, OPTIONS
from django_litestream.subcommands import OWN_SUBCOMMANDS, SUBCOMMANDS

from .documented_site import DocumentedSite
from .documents import BLOCKS, PAGES, REPOSITORY, Block, Page, first_column, terms
from .project import wait_until

COMMANDS = PAGES["docs/commands.md"]
CONFIGURATION = PAGES["docs/configuration.md"]
INSTALLATION = PAGES["docs/installation.md"]
READ_REPLICAS = PAGES["docs/read-replicas.md"]
TROUBLESHOOTING = PAGES["docs/troubleshooting.md"]

RUN_HERE = [block for block in BLOCKS if not block.reason and not block.run_by]
SETTINGS = [block for block in RUN_HERE if block.is_settings]
PYTHON = [
    block for block in RUN_HERE if block.language == "python" and not block.is_settings
]
SHELL = [block for block in RUN_HERE if block.language == "sh"]
FILES = {
    language: [block for block in RUN_HERE if block.language == language]
    for language in ("dockerfile", "ini", "toml", "yaml")
}
KNOWN = {**SUBCOMMANDS, **OWN_SUBCOMMANDS}
# What manage.py takes itself, and Go's flag package.
FLAGS_OF_ALL = {"-h", "--verbosity"}
PACKAGE = Path(django_litestream.__file__).parent

posix = pytest.mark.skipif(os.name == "nt", reason="has no VFS and no sh")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentedSite]:
    made = DocumentedSite(tmp_path_factory.mktemp("documentation") / "mysite")
    migrated = made.manage("migrate", "--run-syncdb", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stderr
    yield made
    made.remove_private_files()


def each(blocks: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks, ids=str)


# The blocks.


@each(list(BLOCKS))
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    if block.run_by:
        test = REPOSITORY / block.run_by
        assert Path(block.page).name in test.read_text(), f"{test} has not this page"
        return
    assert bool(block.mark) == bool(block.reason or block.left_out), block.mark
    run = (*SETTINGS, *PYTHON, *SHELL, *(one for of in FILES.values() for one in of))
    assert block.reason or block in run, (
        f"Nothing runs a block in {block.language or 'no language'}. Put a line "
        "`<!-- not run: REASON -->` before it if nothing can."
    )


def test_a_reason_names_only_tests_that_there_are() -> None:
    named = {name for b in BLOCKS for name in re.findall(r"tests/\w+\.py", b.reason)}
    assert named
    assert not [name for name in named if not (REPOSITORY / name).exists()]


@posix
def test_settings_are_those_of_a_project(site: DocumentedSite) -> None:
    wrong = site.failures([site.loading(block) for block in SETTINGS])
    assert not wrong, "\n".join(wrong)


@posix
def test_commands_and_code_do_what_they_are_to(site: DocumentedSite) -> None:
    jobs = [job for block in SHELL for job in site.commands(block)]
    jobs += [site.python(block) for block in PYTHON]
    with site.replicating():
        wait_until(lambda: site.run("vfs-status").returncode == 0)
        wrong = site.failures(jobs)
    assert not wrong, "\n".join(wrong)


@each(FILES["yaml"])
def test_yaml_is_what_its_program_reads(block: Block, tmp_path: Path) -> None:
    parsed = yaml.safe_load(block.text)
    match block.text.splitlines()[0]:
        case "# /etc/litestream.yml":
            configuration = tmp_path / "litestream.yml"
            configuration.write_text(block.text)
            subprocess.run(
                [*_litestream(), "databases", "-config", str(configuration)],
                check=True,
                timeout=60,
            )
        case "# compose.yaml":
            volumes = [
                volume.partition(":")[0]
                for service in parsed["services"].values()
                for volume in service["volumes"]
            ]
            assert sorted(parsed["volumes"]) == sorted(set(volumes))
        case "# config/deploy.yml":
            assert parsed["accessories"]["litestream"]["volumes"] == parsed["volumes"]
        case other:
            pytest.fail(f"nothing is known of {other}")


@each(FILES["toml"])
def test_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


@each(FILES["ini"])
def test_a_unit_of_systemd_has_its_sections(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    path = Path(block.text.splitlines()[0].removeprefix("# "))
    kind = path.suffix.removeprefix(".").title()
    assert {"Unit", kind} <= set(unit.sections()) <= {"Unit", kind, "Install"}


@each(FILES["dockerfile"])
def test_a_dockerfile_has_instructions_only(block: Block) -> None:
    lines = [line.partition(" ") for line in block.text.splitlines()]
    assert lines[0][0] == "FROM"
    for instruction, _, argument in lines:
        assert instruction in {"FROM", "WORKDIR", "COPY", "RUN", "CMD", "ENTRYPOINT"}
        if instruction in {"CMD", "ENTRYPOINT"}:
            assert all(isinstance(word, str) for word in json.loads(argument))


# What the pages name, and what there is.


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
    for block in SETTINGS:
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
    assert ours or all(piece.encode() in _binary() for piece in pieces)


def test_links_inside_of_the_readme_lead_somewhere() -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", PAGES["README.md"].text)
    assert not [link for link in links if not (REPOSITORY / link).exists()]


@cache
def _binary() -> bytes:
    return binaries.find_executable().read_bytes()


def _litestream() -> list[str]:
    return [str(binaries.find_executable())]


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
                for key, value in zip(top.keys, top.values, strict=True):
                    assert isinstance(key, ast.Constant)
                    yield key.value
                    if key.value != "vfs":
                        yield from (
                            one.value
                            for inner in ast.walk(value)
                            if isinstance(inner, ast.Dict)
                            for one in inner.keys
                            if isinstance(one, ast.Constant)
                        )


def _litestream_commands(page: Page) -> Iterator[list[str]]:
    """Give the words after ``manage.py litestream`` wherever a page has them."""
    lines = [line for block in page.blocks for line in block.text.splitlines()]
    for text in [*page.inline_code, *lines]:
        if '"litestream", ' in text and text.startswith(("CMD", "ENTRYPOINT")):
            words = json.loads(text.partition(" ")[2])
            yield words[words.index("litestream") + 1 :]
        elif found := re.search(r"manage\.py litestream (?P<words>[a-z].*)", text):
            words = shlex.split(found["words"], comments=True)
            yield [word for word in words if word != "&"]
