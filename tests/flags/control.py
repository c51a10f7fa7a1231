"""Flags of what the daemon is asked through its socket."""

from __future__ import annotations

import re

import pytest
from django.core.management.base import CommandError

from ..project import take_away
from ..settings import DIRECTORY
from .cases import FIRST_FILE, SECOND_FILE, World, case

DAEMON_SUBCOMMANDS = "info list register start stop unregister"


def words_for(world: World, name: str) -> tuple[str, ...]:
    """Return what a subcommand that asks the daemon needs besides its flags."""
    match name:
        case "info" | "list":
            return (name,)
        case "register":
            return (name, "-replica", world.replica_url, str(world.database))
        case _:
            return (name, str(world.database))


@case(DAEMON_SUBCOMMANDS, "socket")
def another_daemon_is_asked(world: World, name: str) -> None:
    nowhere = world.directory / "none.sock"
    assert re.fullmatch(
        r'failed to connect to control socket: (Get|Post) "http://localhost/[a-z]+": '
        rf"dial unix {re.escape(str(nowhere))}: connect: no such file or directory\. "
        r"Start the daemon with `manage\.py litestream replicate`; if it runs, give "
        r"both sides the same settings\.LITESTREAM\['socket'\]\['path'\]\.",
        world.refused(*words_for(world, name), "-socket", str(nowhere)),
    )


@case(DAEMON_SUBCOMMANDS, "timeout")
def a_timeout_is_a_number_of_seconds(world: World, name: str) -> None:
    words = words_for(world, name)
    assert world.refused(*words, "-timeout", "soon") == (
        'invalid value "soon" for flag -timeout: parse error'
    )
    if words[1:]:
        world.register()
    world.run(*words, "-timeout", "9")


@case("info", "json")
def info_is_json(world: World, name: str) -> None:
    info = world.run(name, "-json").json
    assert info.keys() == {
        "version",
        "pid",
        "uptime_seconds",
        "started_at",
        "database_count",
    }
    assert info["database_count"] == 1


@case("list", "json")
def list_is_json(world: World, name: str) -> None:
    world.register()
    listed = world.run(name, "-json").json["databases"]
    assert {entry["path"] for entry in listed} == {
        str(DIRECTORY / "db.sqlite3"),
        str(world.database),
    }


@case("register", "replica")
def register_is_told_where_to_replicate_to(world: World, name: str) -> None:
    assert world.refused(name, str(world.database)).startswith("-replica is required")
    answer = world.run(name, "-replica", world.replica_url, str(world.database))
    assert answer.out == (
        f"status: registered\ndb_path: {world.database}\n"
        f"replica: {world.replica_url}\nsocket: {world.socket}\n"
    )
    world.run("sync", "-wait", str(world.database))
    assert world.replicated() == [FIRST_FILE]


@case("register", "json")
def register_is_json(world: World, name: str) -> None:
    words = (name, "-json", "-replica", world.replica_url, str(world.database))
    assert world.run(*words).json == {
        "status": "registered",
        "db_path": str(world.database),
        "replica": world.replica_url,
        "socket": str(world.socket),
    }


@case("start", "json")
@case("stop", "json")
def start_and_stop_are_json(world: World, name: str) -> None:
    world.register()
    statuses = []
    for subcommand in ("start", "stop", "stop", "start"):
        answer = world.run(subcommand, "-json", str(world.database)).json
        statuses.append((answer.pop("status"), answer.pop("state")))
        assert answer == {
            "db_path": str(world.database),
            "txid": 1,
            "socket": str(world.socket),
        }
    assert statuses == [
        ("already_running", "running"),
        ("stopped", "stopped"),
        ("already_stopped", "stopped"),
        ("started", "running"),
    ]


@case("sync", "socket")
def sync_asks_another_daemon(world: World, name: str) -> None:
    nowhere = world.directory / "none.sock"
    assert world.refused(name, "-socket", str(nowhere), str(world.database)) == (
        f"No daemon answers on {nowhere} (No such file or directory): start it with "
        "`manage.py litestream replicate`; if it runs, give both sides the same "
        "settings.LITESTREAM['socket']['path']."
    )


@case("sync", "timeout")
def sync_waits_no_longer_than_it_is_told(world: World, name: str) -> None:
    database = str(world.database)
    for wrong in ("soon", "0", "-1", "inf"):
        message = f"^-timeout is a number of seconds above 0, not '{wrong}'.$"
        with pytest.raises(CommandError, match=message):
            world.run(name, "-timeout", wrong, database)
    world.register()
    take_away(world.replica)
    world.replica.touch()
    world.insert(1)
    assert world.refused(name, "-wait", "-timeout", "0.3", database) == (
        f"The replica of {database} does not hold transaction 2 after 0.3 s, only 1: "
        "the daemon's log says why."
    )
    world.replica.unlink()


@case("sync", "wait")
def sync_waits_until_the_replica_holds_it(world: World, name: str) -> None:
    world.register()
    world.insert(1)
    answer = world.run(name, "-wait", str(world.database))
    assert re.fullmatch(
        f"db_path: {re.escape(str(world.database))}\ntxid: 2\nreplica_txid: 2\n"
        r"duration_ms: \d+\n",
        answer.out,
    )
    assert world.replicated()[-1] == SECOND_FILE


@case("sync", "json")
def sync_is_json(world: World, name: str) -> None:
    world.register()
    answer = world.run(name, "-json", str(world.database)).json
    assert answer.pop("duration_ms") >= 0
    assert answer == {"db_path": str(world.database), "txid": 1}


@case("unregister", "json")
def unregister_is_json(world: World, name: str) -> None:
    world.register()
    assert world.run(name, "-json", str(world.database)).json == {
        "status": "unregistered",
        "db_path": str(world.database),
        "final_txid": 1,
        "socket": str(world.socket),
    }


@case("unregister", "dry-run")
def unregister_only_says_what_it_would_do(world: World, name: str) -> None:
    world.register()
    answer = world.run(name, "-dry-run", "-timeout", "9", str(world.database))
    assert answer.out.splitlines() == [
        "Dry run: unregister request preview",
        f"  database: {world.database}",
        f"  socket: {world.socket}",
        "  replicas: daemon-managed replica for this database",
        "  final sync: daemon close will sync the database and replica before the "
        "command completes",
        "  timeout: 9s",
        "No unregister request was sent.",
    ]
    assert str(world.database) in world.run("list").out
