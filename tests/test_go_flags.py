"""Litestream's command line syntax, typed at ``manage.py`` or given as keywords."""

from __future__ import annotations

import io
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError, CommandParser

from django_litestream.management.commands.litestream import Command
from django_litestream.subcommands import OWN_SUBCOMMANDS, SUBCOMMANDS, command_line

EVERY_SUBCOMMAND = {**SUBCOMMANDS, **OWN_SUBCOMMANDS}


def parser() -> CommandParser:
    made = Command().create_parser("manage.py", "litestream")
    made.called_from_command_line = False
    return made


def parse(*words: str) -> dict[str, Any]:
    """Return what was given: flags that are off and Django's defaults left out."""
    parsed = vars(parser().parse_args(words))
    untouched = vars(parser().parse_args([parsed["subcommand"]]))
    return {
        name: value for name, value in parsed.items() if value != untouched.get(name)
    }


def refusal(*words: str) -> str:
    with pytest.raises(CommandError) as raised:
        parser().parse_args(words)
    return str(raised.value)


def one_line(text: str) -> str:
    return " ".join(text.split())


@pytest.mark.parametrize(
    "words",
    [
        ["-o", "copy.db"],
        ["-o=copy.db"],
        ["--o", "copy.db"],
        ["--o=copy.db"],
        ["-o", "other.db", "-o=copy.db"],
    ],
    ids=" ".join,
)
def test_a_value_is_given_with_one_dash_or_two_with_or_without_a_sign(
    words: list[str],
) -> None:
    assert parse("restore", *words) == {"o": "copy.db"}


@pytest.mark.parametrize(
    "value", ["-", "-x", "--", "--json", "-o=x", "a=b", "a b", "", "é", "-1"]
)
@pytest.mark.parametrize("with_sign", [True, False])
def test_any_text_may_be_a_value(value: str, with_sign: bool) -> None:
    words = [f"-o={value}"] if with_sign else ["-o", value]
    assert parse("restore", *words, "-json") == {"o": value, "json": True}


@pytest.mark.parametrize(
    "words",
    [["-json"], ["--json"], *([f"-json={true}"] for true in ("1", "t", "True"))],
    ids=" ".join,
)
def test_a_switch_is_on_as_go_would_have_it(words: list[str]) -> None:
    assert parse("restore", *words) == {"json": True}


@pytest.mark.parametrize("false", ["0", "f", "F", "false", "FALSE", "False"])
def test_a_switch_can_be_off(false: str) -> None:
    assert parse("restore", f"-json={false}") == {}


@pytest.mark.parametrize("nonsense", ["yes", "", "2", "tRUE", "-true"])
def test_a_switch_that_is_neither_on_nor_off_is_refused(nonsense: str) -> None:
    assert (
        refusal("restore", f"-json={nonsense}")
        == f"Error: -json is true or false, not '{nonsense}'"
    )


@pytest.mark.parametrize("word", ["-o", "--o", "-timestamp", "--verbosity", "-v"])
def test_a_flag_without_its_value_is_refused(word: str) -> None:
    assert refusal("restore", "default", word) == f"Error: {word} needs a value"


def test_a_word_after_a_switch_is_an_operand() -> None:
    assert parse("restore", "-json", "false") == {"json": True, "rest": ["false"]}


def test_no_flag_is_read_as_a_shorter_one_with_a_value() -> None:
    assert parse("restore", "-force") == {"force": True}
    assert parse("restore", "-follow-interval", "2s") == {"follow_interval": "2s"}
    assert parse("restore", "-if-replica-exists") == {"if_replica_exists": True}
    assert parse("restore", "-ocopy.db", "-fjson") == {"rest": ["-ocopy.db", "-fjson"]}


def test_no_flag_may_be_abbreviated() -> None:
    words = ["-time", "now", "--js", "--verb", "--setting=x"]
    assert parse("restore", *words) == {"rest": words}


def test_flags_may_follow_what_they_are_about() -> None:
    assert parse("restore", "default", "-o", "copy.db", "-f") == {
        "rest": ["default"],
        "o": "copy.db",
        "f": True,
    }


def test_what_is_not_known_is_kept_in_its_order() -> None:
    assert parse("restore", "-new", "5", "-json", "default", "--newer=x") == {
        "json": True,
        "rest": ["-new", "5", "default", "--newer=x"],
    }


@pytest.mark.parametrize("place", [1, 2, 3])
@pytest.mark.parametrize(
    ("words", "given"),
    [
        (["--verbosity", "2"], {"verbosity": 2}),
        (["--verbosity=0"], {"verbosity": 0}),
        (["-v", "3"], {"verbosity": 3}),
        (["--settings", "shop.settings"], {"settings": "shop.settings"}),
        (["--settings=shop.settings"], {"settings": "shop.settings"}),
        (["--pythonpath", "src"], {"pythonpath": "src"}),
        (["--traceback"], {"traceback": True}),
        (["--no-color"], {"no_color": True}),
    ],
)
def test_djangos_own_options_are_taken_wherever_they_stand(
    words: list[str], given: dict[str, Any], place: int
) -> None:
    line = ["restore", "default", "-json"]
    before = line[: place - 1] + words + line[place - 1 :]
    assert parse(*before) == {"rest": ["default"], "json": True, **given}


def test_an_option_of_django_given_twice_counts_where_it_stands_last() -> None:
    assert parse("-v", "0", "restore", "-v", "2") == {"verbosity": 2}


def test_djangos_options_keep_their_own_checks() -> None:
    assert refusal("restore", "-v", "9") == (
        "Error: argument -v/--verbosity: invalid choice: 9 (choose from 0, 1, 2, 3)"
    )


def test_verbosity_may_be_written_as_django_users_write_it() -> None:
    assert parse("restore", "-v2") == {"verbosity": 2}


def test_two_dashes_end_the_flags() -> None:
    assert parse("restore", "-json", "--", "-o", "--", "-v") == {
        "json": True,
        "rest": ["--", "-o", "--", "-v"],
    }


def test_what_follows_two_dashes_is_no_flag_to_litestream_either() -> None:
    given = vars(parser().parse_args(["restore", "--", "-force"]))
    assert command_line(
        SUBCOMMANDS["restore"],
        given,
        given["rest"],
        resolve=lambda word: f"/resolved/{word}",
    ) == ["restore", "--", "-force"]


def test_a_subcommand_is_needed() -> None:
    assert refusal() == "Error: the following arguments are required: SUBCOMMAND"


def test_a_subcommand_that_there_is_not_is_refused() -> None:
    assert refusal("backup").startswith(
        "Error: argument SUBCOMMAND: invalid choice: 'backup' (choose from "
    )


@pytest.mark.parametrize("name", EVERY_SUBCOMMAND)
def test_the_help_of_a_subcommand_lists_every_flag(
    name: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        parser().parse_args([name, "-h"])
    assert ended.value.code == 0
    subcommand = EVERY_SUBCOMMAND[name]
    printed = capsys.readouterr().out
    usage = f"usage: manage.py litestream {name} [flags] {subcommand.operand.value}"
    assert printed.splitlines()[0] == usage.rstrip()
    for flag in subcommand.flags:
        value = f" {flag.value}" if flag.value else ""
        assert one_line(printed).count(f" -{flag.name}{value} {flag.help}") == 1


def test_the_help_of_the_command_lists_every_subcommand() -> None:
    completed = subprocess.run(
        [sys.executable, "-m", "django", "litestream", "-h"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert completed.stderr == ""
    assert completed.returncode == 0
    for name, subcommand in EVERY_SUBCOMMAND.items():
        assert one_line(completed.stdout).count(f" {name} {subcommand.help}") == 1


def test_a_flag_may_be_a_keyword_of_call_command(tmp_path: Path) -> None:
    database = tmp_path / "shop.sqlite3"
    database.write_bytes(b"in use")
    configuration = tmp_path / "litestream.yml"
    configuration.write_text(
        f"dbs: [{{path: '{database}', replica: {{url: 'file://{tmp_path}/replica'}}}}]"
    )
    restore = partial(
        call_command, "litestream", "restore", str(database), config=configuration
    )
    with pytest.raises(CommandError, match="output path already exists"):
        restore(if_db_not_exists=False, o=None)
    restore(if_db_not_exists=True, stderr=io.StringIO())
    assert database.read_bytes() == b"in use"


def test_a_keyword_that_is_no_flag_is_a_type_error() -> None:
    with pytest.raises(TypeError) as raised:
        call_command("litestream", "restore", "default", if_db_exists=True)
    assert str(raised.value).startswith(
        "Unknown option(s) for litestream command: if_db_exists. "
        "Valid options are: config, "
    )


def test_a_keyword_that_is_a_flag_of_another_subcommand_is_a_type_error() -> None:
    with pytest.raises(TypeError):
        call_command("litestream", "version", dry_run=True, stdout=io.StringIO())
