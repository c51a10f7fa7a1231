"""Litestream's flags as this package knows them, and the command lines it builds."""

from __future__ import annotations

import re
import subprocess

import pytest

from django_litestream import binaries
from django_litestream.subcommands import (
    OWN_SUBCOMMANDS,
    SUBCOMMANDS,
    Subcommand,
    command_line,
    is_url,
)

URL = "s3://bucket/shop.db"


def help_of(*subcommand: str) -> str:
    """Return what the real binary prints for ``-h``."""
    completed = subprocess.run(
        [binaries.find_executable(), *subcommand, "-h"],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return completed.stdout


def words_of(subcommand: str, *rest: str, **options: object) -> list[str]:
    return command_line(
        SUBCOMMANDS[subcommand],
        options,
        list(rest),
        resolve=lambda word: f"/resolved/{word}",
    )


def test_every_subcommand_of_litestream_is_there_and_no_other() -> None:
    listed = re.findall(r"^\t([a-z]+) {2,}", help_of(), re.MULTILINE)
    assert listed == [name for name in SUBCOMMANDS if name != "wal"]


def test_our_own_subcommands_hide_none_of_litestreams() -> None:
    assert not SUBCOMMANDS.keys() & OWN_SUBCOMMANDS.keys()


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_the_flags_are_those_of_the_binarys_own_help(name: str) -> None:
    listed = re.findall(
        r"^(?:\t|  )-([a-z-]+)(?: ([A-Z]+))?$", help_of(name), re.MULTILINE
    )
    assert {flag.name: flag.value or "" for flag in SUBCOMMANDS[name].flags} == dict(
        listed
    )


def test_wal_says_that_it_is_deprecated_and_then_does_what_ltx_does() -> None:
    warning = "Warning: 'wal' command is deprecated, please use 'ltx' instead\n"
    assert help_of("wal") == warning + help_of("ltx")
    assert SUBCOMMANDS["wal"].flags == SUBCOMMANDS["ltx"].flags
    assert SUBCOMMANDS["wal"].operand is SUBCOMMANDS["ltx"].operand


@pytest.mark.parametrize(
    "subcommand",
    [*SUBCOMMANDS.values(), *OWN_SUBCOMMANDS.values()],
    ids=lambda subcommand: subcommand.name,
)
def test_no_two_flags_of_a_subcommand_share_a_keyword(subcommand: Subcommand) -> None:
    keywords = [flag.dest for flag in subcommand.flags]
    assert len(keywords) == len(set(keywords))


def test_flags_come_before_operands_in_the_order_of_the_help() -> None:
    assert words_of(
        "restore",
        "default",
        o="/copy",
        force=True,
        txid="00000000000000ff",
        if_db_not_exists=False,
        timestamp=None,
    ) == [
        "restore",
        "-txid",
        "00000000000000ff",
        "-o",
        "/copy",
        "-force",
        "/resolved/default",
    ]


def test_a_value_may_be_a_number_or_nothing_at_all() -> None:
    assert words_of("restore", "default", parallelism=0, o="") == [
        "restore",
        "-o",
        "",
        "-parallelism",
        "0",
        "/resolved/default",
    ]


@pytest.mark.parametrize(
    "name",
    [
        "ltx",
        "register",
        "reset",
        "restore",
        "start",
        "status",
        "stop",
        "sync",
        "unregister",
        "wal",
    ],
)
def test_the_database_is_resolved(name: str) -> None:
    assert words_of(name, "default") == [name, "/resolved/default"]


@pytest.mark.parametrize("name", ["ltx", "restore", "wal"])
def test_a_replicas_url_is_left_as_it_is(name: str) -> None:
    assert words_of(name, URL) == [name, URL]


def test_replicate_resolves_its_database_and_none_of_its_urls() -> None:
    assert words_of("replicate", "default", URL, "file:///backup") == [
        "replicate",
        "/resolved/default",
        URL,
        "file:///backup",
    ]


@pytest.mark.parametrize("name", ["databases", "info", "list", "version"])
def test_what_takes_no_database_has_none_resolved(name: str) -> None:
    assert words_of(name, "default") == [name, "default"]


@pytest.mark.parametrize("name", SUBCOMMANDS)
def test_nothing_given_is_nothing_added(name: str) -> None:
    assert words_of(name) == [name]


@pytest.mark.parametrize(
    ("typed", "passed_on"),
    [
        (["-new", "default"], ["-new", "/resolved/default"]),
        (["default", "-new"], ["-new", "/resolved/default"]),
        (["-new", "5", "default"], ["-new", "5", "/resolved/default"]),
        (["default", "-new", "5"], ["-new", "5", "/resolved/default"]),
        (["default", "-new=5"], ["-new=5", "/resolved/default"]),
        (
            ["default", "-newer", "a", "--new", "b"],
            ["-newer", "a", "--new", "b", "/resolved/default"],
        ),
        (["-new", "5", URL], ["-new", "5", URL]),
        ([URL, "-new", "5"], ["-new", "5", URL]),
    ],
)
def test_flags_of_a_newer_litestream_are_passed_on_with_their_values(
    typed: list[str], passed_on: list[str]
) -> None:
    assert words_of("restore", *typed, json=True) == ["restore", "-json", *passed_on]


@pytest.mark.parametrize(
    "typed",
    [["-new", "5", "default", URL], ["default", URL, "-new", "5"]],
)
def test_replicate_finds_its_database_beside_a_newer_flag(typed: list[str]) -> None:
    assert words_of("replicate", *typed, once=True) == [
        "replicate",
        "-once",
        "-new",
        "5",
        "/resolved/default",
        URL,
    ]


def test_a_newer_flags_value_is_no_database_where_none_need_be_given() -> None:
    assert words_of("replicate", "-new", "5") == ["replicate", "-new", "5"]


def test_a_switch_that_is_0_is_off() -> None:
    assert words_of("restore", "default", force=0) == ["restore", "/resolved/default"]


@pytest.mark.parametrize(
    ("word", "answer"),
    [
        (URL, True),
        ("file:///backup", True),
        ("default", False),
        ("/srv/shop.db", False),
        ("file:shop.db", False),
        (r"C:\shop.db", False),
    ],
)
def test_a_url_is_told_from_a_path(word: str, answer: bool) -> None:
    assert is_url(word) is answer
