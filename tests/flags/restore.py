"""Flags of ``restore``."""

from __future__ import annotations

import re
import signal

from ..project import PATIENCE, count_rows, wait_until
from .cases import NO_BACKUP, NOT_OF_THAT_MOMENT, Answer, World, case


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
