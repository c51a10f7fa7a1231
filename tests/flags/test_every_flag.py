"""Every flag of every subcommand, through ``call_command`` and the real binary.

A case is registered for each flag of the tables with ``@case``; a flag without
one fails. Each has a database of its own, one daemon serves them all.
"""

from __future__ import annotations

import io
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from importlib import import_module
from pathlib import Path

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from django_litestream import binaries, config, private_files, process
from django_litestream.subcommands import SUBCOMMANDS

from ..project import replicates, stop, wait_until
from ..settings import DIRECTORY
from . import MODULES
from .cases import CASES, World

LITESTREAM = {
    "dbs": [
        {
            "path": "default",
            "replica": {"type": "file", "path": str(DIRECTORY / "replica")},
        }
    ]
}
# Each registers its own.
for module in MODULES:
    import_module(module)
EVERY_FLAG = [
    (subcommand.name, flag.name)
    for subcommand in SUBCOMMANDS.values()
    for flag in subcommand.flags
]


@pytest.fixture(scope="module")
def socket() -> Iterator[Path]:
    """Have a daemon run on the database ``default``; return its control socket."""
    with closing(sqlite3.connect(DIRECTORY / "db.sqlite3")) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE IF NOT EXISTS note (number INTEGER)")
    with override_settings(LITESTREAM=LITESTREAM):
        configuration = config.build()
    path = configuration.socket
    assert path
    private = configuration.private_directory
    file = private_files.write_configuration(private, configuration.to_yaml())
    daemon = subprocess.Popen(
        [binaries.find_executable(), "replicate", "-config", file],
        env=process.environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: replicates(path))
        yield path
    finally:
        stop(daemon)
        file.unlink()
        (private / "replicate.lock").unlink(missing_ok=True)
        private.rmdir()
        for left in DIRECTORY.glob("db.sqlite3*"):
            left.unlink()


@pytest.fixture
def world(
    socket: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[World]:
    made = World(directory=tmp_path, socket=socket)
    made.create_database()
    monkeypatch.setenv("SHOP", "shop")
    made.configuration.write_text(
        f"dbs: [{{path: '{tmp_path}/$SHOP.sqlite3', "
        f"replica: {{type: file, path: '{made.replica}'}}}}]"
    )
    with override_settings(LITESTREAM=LITESTREAM):
        yield made
        if any("register" in words for words in made.ran):
            made.run("unregister", str(made.database))


@pytest.mark.parametrize(("subcommand", "flag"), EVERY_FLAG)
def test_a_flag_does_what_it_says(world: World, subcommand: str, flag: str) -> None:
    CASES[subcommand, flag](world, subcommand)
    assert any(
        words[0] == subcommand and f"-{flag}" in words[1:] for words in world.ran
    )


def test_no_case_is_of_a_flag_that_is_gone() -> None:
    assert CASES.keys() == set(EVERY_FLAG)


@pytest.mark.parametrize("name", sorted(SUBCOMMANDS.keys() - {"replicate"}))
def test_a_flag_that_is_not_known_here_is_litestreams_to_refuse(
    world: World, name: str
) -> None:
    assert world.refused(name, "-new") == (
        "flag provided but not defined: -new. See `manage.py litestream SUBCOMMAND -h` "
        "for the flags there are."
    )


def test_a_flag_that_is_not_known_here_keeps_the_settings(world: World) -> None:
    err = io.StringIO()
    with (
        override_settings(LITESTREAM={**LITESTREAM, "socket": {"enabled": False}}),
        pytest.raises(CommandError, match="flag provided but not defined: -new"),
    ):
        call_command("litestream", "replicate", "-new", verbosity=2, stderr=err)
    command_line = err.getvalue().splitlines()[0]
    assert " replicate -config " in command_line
