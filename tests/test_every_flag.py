"""Every flag of every subcommand, through ``call_command`` and the real binary.

A case is registered for each flag of the tables with ``@case``; a flag without
one fails. Each has a database of its own, one daemon serves them all.
"""

from __future__ import annotations

import io
import json
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from django.test import override_settings

from django_litestream import binaries, config, private_files, process
from django_litestream.artifacts import LITESTREAM_VERSION
from django_litestream.subcommands import SUBCOMMANDS

from .project import PATIENCE, count_rows, replicates, stop, take_away, wait_until
from .settings import DIRECTORY

ROOT = Path(__file__).parent.parent
LITESTREAM = {
    "dbs": [
        {
            "path": "default",
            "replica": {"type": "file", "path": str(DIRECTORY / "replica")},
        }
    ]
}
FIRST_FILE = "ltx/0/0000000000000001-0000000000000001.ltx"
SECOND_FILE = "ltx/0/0000000000000002-0000000000000002.ltx"
NO_BACKUP = (
    "no matching backup files available. There is no backup that can be restored "
    "there: run `manage.py litestream replicate`, or correct the database's replica in "
    "settings.LITESTREAM['dbs']."
)
NOT_OF_THAT_MOMENT = (
    "no matching backup files available of that moment. `manage.py litestream ltx -level "
    "all DATABASE` lists what there is."
)
EVERY_FLAG = [
    (subcommand.name, flag.name)
    for subcommand in SUBCOMMANDS.values()
    for flag in subcommand.flags
]


@dataclass(frozen=True, kw_only=True)
class Answer:
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@dataclass(kw_only=True)
class World:
    """A database with ten rows, a replica that holds it, and the daemon.

    The database is ``shop.sqlite3``. ``configuration`` is a file that names it, in
    such a way that only an expansion of ``$SHOP`` finds it.
    """

    directory: Path
    socket: Path
    ran: list[tuple[str, ...]] = field(default_factory=list)

    @property
    def database(self) -> Path:
        return self.directory / "shop.sqlite3"

    @property
    def replica(self) -> Path:
        return self.directory / "replica"

    @property
    def replica_url(self) -> str:
        return f"file://{self.replica}"

    @property
    def copy(self) -> Path:
        return self.directory / "copy.sqlite3"

    @property
    def configuration(self) -> Path:
        return self.directory / "litestream.yml"

    def create_database(self) -> None:
        with closing(sqlite3.connect(self.database)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("CREATE TABLE note (number INTEGER PRIMARY KEY)")
        self.insert(10)

    def insert(self, rows: int) -> None:
        with closing(sqlite3.connect(self.database)) as connection, connection:
            connection.executemany("INSERT INTO note VALUES (?)", [(None,)] * rows)

    def replicate(self) -> None:
        """Bring the replica up to date, no daemon taking part."""
        call_command(
            "litestream",
            "replicate",
            "-once",
            "-log-level",
            "error",
            str(self.database),
            self.replica_url,
        )

    def register(self) -> None:
        """Have the daemon replicate the database, and bring the replica up to date."""
        self.run("register", "-replica", self.replica_url, str(self.database))
        self.run("sync", "-wait", str(self.database))

    def replicated(self) -> list[str]:
        """Return what is in the replica, but for what a daemon compacts by the clock."""
        return sorted(
            str(path.relative_to(self.replica))
            for path in self.replica.rglob("*.ltx")
            if path.parent.name in {"0", "9"}
        )

    def run(self, *words: str) -> Answer:
        self.ran.append(words)
        out, err = io.StringIO(), io.StringIO()
        with bounded():
            call_command("litestream", *words, stdout=out, stderr=err)
        return Answer(out=out.getvalue(), err=err.getvalue())

    def refused(self, *words: str) -> str:
        """Run what Litestream refuses and return the reason, which is one line."""
        with pytest.raises(CommandError) as raised:
            self.run(*words)
        assert raised.value.returncode == 1
        reason = str(raised.value)
        assert reason.splitlines() == [reason]
        return reason

    def start(self, *words: str) -> subprocess.Popen[str]:
        """Start what does not end by itself, as a shell does."""
        self.ran.append(words)
        return subprocess.Popen(
            [sys.executable, "-m", "django", "litestream", *words],
            cwd=ROOT,
            env=process.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )


@contextmanager
def bounded() -> Iterator[None]:
    """Fail where a daemon runs on that was to end by itself."""

    def give_up(number: int, frame: FrameType | None) -> NoReturn:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, give_up)
    signal.setitimer(signal.ITIMER_REAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


Case = Callable[[World, str], None]
CASES: dict[tuple[str, str], Case] = {}


def case(subcommands: str, flag: str) -> Callable[[Case], Case]:
    """Register what a flag does in each of the ``subcommands``."""

    def register(function: Case) -> Case:
        for subcommand in subcommands.split():
            assert (subcommand, flag) not in CASES
            CASES[subcommand, flag] = function
        return function

    return register


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


# A configuration of one's own.


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


# What the daemon is asked through.


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


# What is told of databases and their files.


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


# The daemon itself.


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


# Restoring.


def restore(world: World, *flags: str) -> tuple[str, ...]:
    return ("restore", "-o", str(world.copy), *flags, world.replica_url)


@case("restore", "o")
def restore_writes_where_it_is_told(world: World, name: str) -> None:
    world.replicate()
    assert world.refused(name, world.replica_url).startswith(
        "-o is required when restoring from a replica URL"
    )
    assert world.run(*restore(world)) == Answer(out="", err="")
    assert count_rows(world.copy) == 10


@case("restore", "txid")
def restore_goes_up_to_a_transaction(world: World, name: str) -> None:
    world.replicate()
    world.insert(5)
    world.replicate()
    world.run(*restore(world, "-txid", "0000000000000001"))
    assert count_rows(world.copy) == 10
    world.run(*restore(world, "-force", "-txid", "0000000000000002"))
    assert count_rows(world.copy) == 15
    assert world.refused(*restore(world, "-txid", "1")) == (
        'invalid value "1" for flag -txid: invalid txid format'
    )
    beyond = ("-force", "-txid", f"{255:016x}")
    assert world.refused(*restore(world, *beyond)) == NOT_OF_THAT_MOMENT


@case("restore", "timestamp")
def restore_goes_back_in_time(world: World, name: str) -> None:
    world.replicate()
    words = (name, "-config", str(world.configuration), "-o", str(world.copy))
    refusals = {
        "2020-01-01T00:00:00Z": NOT_OF_THAT_MOMENT,
        "yesterday": "invalid -timestamp, must specify in ISO 8601 format "
        "(e.g. 2000-01-01T00:00:00Z)",
    }
    for moment, reason in refusals.items():
        assert world.refused(*words, "-timestamp", moment, str(world.database)) == (
            reason
        )
    assert not world.copy.exists()
    world.run(*words, "-timestamp", "2100-01-01T00:00:00Z", str(world.database))
    assert count_rows(world.copy) == 10


@case("restore", "if-db-not-exists")
def restore_leaves_a_database_alone(world: World, name: str) -> None:
    world.replicate()
    world.copy.write_bytes(b"in use")
    assert world.refused(*restore(world)) == (
        f"cannot restore, output path already exists and is not empty: {world.copy}. "
        "Use -force to overwrite. Restore elsewhere with -o PATH, or add "
        "-if-db-not-exists to leave an existing database alone."
    )
    world.run(*restore(world, "-if-db-not-exists"))
    assert world.copy.read_bytes() == b"in use"


@case("restore", "force")
def restore_overwrites_a_database(world: World, name: str) -> None:
    world.replicate()
    world.copy.write_bytes(b"in use")
    world.run(*restore(world, "-force"))
    assert count_rows(world.copy) == 10


@case("restore", "if-replica-exists")
def restore_is_content_without_a_backup(world: World, name: str) -> None:
    assert world.refused(*restore(world)) == NO_BACKUP
    world.run(*restore(world, "-if-replica-exists"))
    assert not world.copy.exists()


@case("restore", "dry-run")
def restore_only_says_what_it_would_fetch(world: World, name: str) -> None:
    world.replicate()
    answer = world.run(*restore(world, "-dry-run"))
    assert answer.out.splitlines()[:5] == [
        "Restore plan:",
        f"  source: {world.replica_url}",
        f"  target: {world.copy}",
        "  replica: file",
        "  txid range: 0000000000000001 - 0000000000000001",
    ]
    assert not world.copy.exists()


@case("restore", "json")
def restore_is_json(world: World, name: str) -> None:
    world.replicate()
    answer = world.run(*restore(world, "-json")).json
    assert answer.pop("duration_ms") >= 0
    assert answer == {
        "db_path": str(world.copy),
        "replica": "file",
        "txid": "0000000000000001",
        "integrity_check": "none",
    }


@case("restore", "parallelism")
def restore_fetches_as_many_files_at_a_time(world: World, name: str) -> None:
    world.replicate()
    assert world.refused(*restore(world, "-parallelism", "many")) == (
        'invalid value "many" for flag -parallelism: parse error'
    )
    world.run(*restore(world, "-parallelism", "1"))
    assert count_rows(world.copy) == 10


@case("restore", "integrity-check")
def restore_checks_what_it_restored(world: World, name: str) -> None:
    world.replicate()
    assert world.refused(*restore(world, "-integrity-check", "some")) == (
        "invalid -integrity-check value: some"
    )
    words = restore(world, "-json", "-integrity-check", "full")
    answer = world.run(*words)
    assert answer.json["integrity_check"] == "full"
    assert 'msg="post-restore integrity check passed"' in answer.err


@case("restore", "f")
@case("restore", "follow-interval")
def restore_follows_until_it_is_stopped(world: World, name: str) -> None:
    world.replicate()
    assert world.refused(*restore(world, "-follow-interval", "1")) == (
        'invalid value "1" for flag -follow-interval: parse error'
    )
    assert world.refused(*restore(world, "-f", "-txid", f"{1:016x}")) == (
        "cannot use follow mode with -txid"
    )
    follower = world.start(*restore(world, "-f", "-follow-interval", "10ms"))
    try:
        wait_until(world.copy.exists)
        world.insert(5)
        world.replicate()
        wait_until(lambda: count_rows(world.copy) == 15)
    finally:
        follower.terminate()
    printed, _ = follower.communicate(timeout=PATIENCE)
    assert re.findall(r'msg="(.+?)"', printed) == [
        "entering follow mode",
        "follow: applied updates",
        "follow mode stopped",
    ]
    assert follower.returncode == 128 + signal.SIGTERM


# Flags of a newer Litestream.


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
