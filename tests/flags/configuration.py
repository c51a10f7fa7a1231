"""Flags that have a configuration of one's own read."""

from __future__ import annotations

from ..project import count_rows
from .cases import FIRST_FILE, World, case


@case("databases", "config")
def databases_lists_what_that_configuration_has(world: World, name: str) -> None:
    assert world.run(name, "-config", str(world.configuration), "-json").json == [
        {"path": str(world.database), "replica": "file"}
    ]


@case("databases", "no-expand-env")
def databases_shows_references_as_they_are(world: World, name: str) -> None:
    words = ("-config", str(world.configuration), "-no-expand-env", "-json")
    assert world.run(name, *words).json == [
        {"path": f"{world.directory}/$SHOP.sqlite3", "replica": "file"}
    ]


@case("status", "config")
def status_is_of_the_databases_of_that_configuration(world: World, name: str) -> None:
    world.replicate()
    [status] = world.run(name, "-json", "-config", str(world.configuration)).json
    assert status["database"] == str(world.database)
    assert status["status"] == "ok"
    assert status["local_txid"] == "0000000000000001"


@case("status", "no-expand-env")
def status_expands_nothing(world: World, name: str) -> None:
    words = ("-config", str(world.configuration), "-no-expand-env", "-json")
    [status] = world.run(name, *words).json
    assert status["database"] == f"{world.directory}/$SHOP.sqlite3"
    assert status["status"] == "no database"


@case("ltx wal", "config")
def files_are_listed_of_that_configurations_replica(world: World, name: str) -> None:
    world.replicate()
    words = (name, "-json", str(world.database))
    assert world.refused(*words) == (
        f"database not found in config: {world.database}. Add the database to "
        "settings.LITESTREAM['dbs'], or name it as it stands there."
    )
    [file] = world.run(*words, "-config", str(world.configuration)).json
    assert file["max_txid"] == "0000000000000001"


@case("restore", "config")
def restore_reads_that_configurations_replica(world: World, name: str) -> None:
    world.replicate()
    words = (name, "-o", str(world.copy), str(world.database))
    assert "database not found in config" in world.refused(*words)
    world.run(*words, "-config", str(world.configuration))
    assert count_rows(world.copy) == 10


@case("ltx wal restore", "no-expand-env")
def a_database_is_looked_for_under_the_name_as_it_is_written(
    world: World, name: str
) -> None:
    words = (name, "-config", str(world.configuration), "-no-expand-env")
    reason = world.refused(*words, str(world.database))
    assert reason.startswith(f"database not found in config: {world.database}. ")
    literal = f"{world.directory}/$SHOP.sqlite3"
    world.replicate()
    world.run(*words, literal)


@case("reset", "config")
@case("reset", "no-expand-env")
def reset_removes_what_that_configuration_keeps(world: World, name: str) -> None:
    world.configuration.write_text(
        f"dbs: [{{path: '{world.database}', meta-path: '{world.directory}/$SHOP', "
        f"replica: {{type: file, path: '{world.replica}'}}}}]"
    )
    words = ("-config", str(world.configuration))
    world.run("replicate", "-once", *words)
    assert (world.directory / "shop" / FIRST_FILE).is_file()
    answer = world.run(name, "-no-expand-env", *words, str(world.database))
    assert answer.out.splitlines() == [
        f"No local state to reset for {world.database}",
        f"Meta directory does not exist: {world.directory}/$SHOP",
    ]
    world.run(name, *words, str(world.database))
    assert not (world.directory / "shop" / FIRST_FILE).exists()


@case("replicate", "config")
@case("replicate", "once")
def replicate_once_replicates_that_configuration_and_ends(
    world: World, name: str
) -> None:
    world.run(name, "-once", "-config", str(world.configuration))
    assert world.replicated() == [FIRST_FILE]


@case("replicate", "no-expand-env")
def replicate_expands_nothing(world: World, name: str) -> None:
    literal = world.database.rename(world.directory / "$SHOP.sqlite3")
    words = (name, "-once", "-no-expand-env", "-config", str(world.configuration))
    answer = world.run(*words)
    assert f'msg="syncing database" path={literal}\n' in answer.out
    assert world.replicated() == [FIRST_FILE]
