"""Flags of ``replicate``."""

from __future__ import annotations

import shutil

from ..project import count_rows
from .cases import FIRST_FILE, Answer, World, case


@case("replicate", "exec")
def replicate_ends_with_the_command_it_runs(world: World, name: str) -> None:
    ran = world.directory / "ran"
    words = (name, "-config", str(world.configuration), "-exec")
    answer = world.run(*words, f"touch '{ran}'")
    assert 'msg="subprocess exited, litestream shutting down"' in answer.out
    assert ran.exists()
    assert world.refused(*words, "sh -c 'exit 3'") == "exit status 3"


@case("replicate", "force-snapshot")
def replicate_takes_a_snapshot(world: World, name: str) -> None:
    words = (name, "-force-snapshot", "-config", str(world.configuration))
    assert world.refused(*words) == (
        "cannot specify -force-snapshot flag without -once"
    )
    world.run(*words, "-once")
    assert world.replicated() == [FIRST_FILE, FIRST_FILE.replace("/0/", "/9/")]


@case("replicate", "enforce-retention")
def replicate_removes_what_is_past_its_retention(world: World, name: str) -> None:
    words = (name, "-enforce-retention", "-config", str(world.configuration))
    assert world.refused(*words) == (
        "cannot specify -enforce-retention flag without -once"
    )
    answer = world.run(*words, "-once")
    assert f'msg="enforcing retention" path={world.database}\n' in answer.out


@case("replicate", "log-level")
def replicate_logs_as_much_as_is_asked_for(world: World, name: str) -> None:
    words = (name, "-once", "-config", str(world.configuration), "-log-level")
    assert world.run(*words, "error") == Answer(out="", err="")
    assert "level=INFO" in world.run(*words, "info").out
    assert "level=DEBUG" in world.run(*words, "debug").out


@case("replicate", "restore-if-db-not-exists")
def replicate_restores_what_is_missing(world: World, name: str) -> None:
    world.replicate()
    for file in world.directory.glob("*shop.sqlite3*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    words = (name, "-once", "-config", str(world.configuration))
    world.run(*words, "-restore-if-db-not-exists")
    assert count_rows(world.database) == 10
