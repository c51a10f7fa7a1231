"""What is restored is sound: nobody else writes there, and nothing is left of old."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from pathlib import Path

import pytest

from django_litestream.databases import metadata_beside

from .project import PATIENCE, Project, count_rows, linux, wait_until

pytestmark = linux


def copy_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3"


def lock_of(project: Project) -> Path:
    return project.directory / "copy.sqlite3.restoring"


def restore(project: Project) -> list[str]:
    return ["restore", "-o", str(copy_of(project)), "default"]


def is_restored(project: Project) -> str:
    return (
        f"CommandError: Another process restores to {copy_of(project)}: wait until it has "
        "ended, or restore elsewhere with -o PATH.\n"
    )


def litestreams_of(command: subprocess.Popen[str]) -> list[int]:
    children = Path(f"/proc/{command.pid}/task/{command.pid}/children")
    return [int(number) for number in children.read_text().split()]


@contextmanager
def restoring(project: Project) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Have a restore run for the block that has nothing at its path yet.

    Gives its command and Litestream, which follows the replica and is then frozen.
    """
    assert project.run("replicate", "-once").returncode == 0
    command = subprocess.Popen(
        project.command("litestream", "restore", "-f", *restore(project)[1:]),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    litestream = 0
    try:
        wait_until(copy_of(project).exists)
        (litestream,) = litestreams_of(command)
        os.kill(litestream, signal.SIGSTOP)
        copy_of(project).unlink()
        yield command, litestream
    finally:
        command.kill()
        command.wait(PATIENCE)
        if litestream:
            with suppress(ProcessLookupError):
                os.kill(litestream, signal.SIGKILL)


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_second_restore_to_the_same_path_is_refused(
    project: Project, is_killed: bool
) -> None:
    with restoring(project) as (command, litestream):
        if is_killed:
            command.kill()
            command.wait(PATIENCE)
            assert Path(f"/proc/{litestream}").exists()
        refused = project.run("restore", "-if-db-not-exists", *restore(project)[1:])
        assert (refused.returncode, refused.stderr) == (1, is_restored(project))
        os.kill(litestream, signal.SIGKILL)
        wait_until(lambda: project.run(*restore(project)).returncode == 0)
    assert count_rows(copy_of(project)) == 10
    assert not lock_of(project).exists()


def test_what_writes_nothing_is_not_refused(project: Project) -> None:
    with restoring(project):
        planned = project.run("restore", "-dry-run", *restore(project)[1:])
        assert planned.returncode == 0, planned.stderr
        copy_of(project).write_bytes(b"a database")
        kept = project.run("restore", "-if-db-not-exists", *restore(project)[1:])
        assert kept.returncode == 0, kept.stderr
        forced = project.run("restore", "-force", *restore(project)[1:])
        assert forced.returncode == 1
        assert "Another process restores to" in forced.stderr


def test_nothing_is_left_beside_what_was_restored(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    assert project.run(*restore(project)).returncode == 0
    assert not lock_of(project).exists()
    assert project.run(*restore(project)).returncode == 1
    assert not lock_of(project).exists()


def test_the_directory_need_not_be_there(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    copy = project.directory / "new" / "copy.sqlite3"
    assert project.run("restore", "-o", str(copy), "default").returncode == 0
    assert count_rows(copy) == 10


def beside(database: Path, ending: str) -> Path:
    return database.with_name(f"{database.name}{ending}")


def lose(project: Project) -> None:
    """Replicate ten rows, have a writer killed, and lose the database but not its WAL."""
    assert project.run("replicate", "-once").returncode == 0
    writer = (
        "import os, sqlite3, sys",
        "database = sqlite3.connect(sys.argv[1])",
        "database.execute('DELETE FROM note WHERE number > 5')",
        "database.commit()",
        "os._exit(0)",
    )
    subprocess.run(
        [sys.executable, "-c", "\n".join(writer), project.database], check=True
    )
    assert beside(project.database, "-wal").stat().st_size
    project.database.unlink()


def is_left(file: Path) -> str:
    return (
        f"CommandError: {file} is left of a database that was here, and SQLite would "
        "write it over the restored one: move it away, as it may hold commits that the "
        "backup lacks, and restore again.\n"
    )


def is_replicated(project: Project, target: Path) -> str:
    return (
        f"CommandError: The daemon on {project.socket} replicates {target}, and would go "
        "on with the file that it has open, as would your application: stop both first, "
        "or restore elsewhere with -o PATH.\n"
    )


def is_locked(project: Project, metadata: Path | None = None) -> str:
    lock = (metadata or metadata_beside(project.database)) / "replicate.lock"
    return (
        f"CommandError: A daemon keeps {lock} locked: it may replicate "
        f"{project.database}, and would go on with the file that it has open, as would "
        "your application: stop both first, or restore elsewhere with -o PATH.\n"
    )


def files_of(project: Project) -> set[str]:
    return {path.name for path in project.directory.iterdir()}


@pytest.mark.parametrize(
    "flags", [(), ("-force",), ("-if-db-not-exists",), ("-f",), ("-txid", f"{1:016x}")]
)
def test_a_wal_that_is_left_is_not_written_over_what_is_restored(
    project: Project, flags: tuple[str, ...]
) -> None:
    lose(project)
    before = files_of(project)
    refused = project.run("restore", *flags, "default")
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert files_of(project) == before


@pytest.mark.parametrize("is_empty", [False, True])
@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_is_left_beside_another_path_is_seen(
    project: Project, ending: str, is_empty: bool
) -> None:
    lose(project)
    copy = copy_of(project)
    if is_empty:
        copy.touch()
    shutil.copy(beside(project.database, "-wal"), beside(copy, ending))
    refused = project.run("restore", "-o", str(copy), project.replica.as_uri())
    assert (refused.returncode, refused.stderr) == (1, is_left(beside(copy, ending)))
    assert copy.exists() == is_empty


def test_what_was_moved_away_is_not_in_the_way(project: Project) -> None:
    lose(project)
    wal = beside(project.database, "-wal")
    wal.rename(project.directory / "moved-away")
    # Made of the lost database, it says of the WAL what is no longer so.
    assert beside(project.database, "-shm").stat().st_size
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10


@pytest.mark.parametrize("ending", ["-wal", "-journal"])
def test_what_is_empty_is_not_in_the_way(project: Project, ending: str) -> None:
    lose(project)
    beside(project.database, "-wal").unlink()
    beside(project.database, ending).touch()
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10
    project.insert(1)
    with closing(sqlite3.connect(project.database)) as connection:
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    assert count_rows(project.database) == 11


def test_force_removes_what_is_beside_the_database(project: Project) -> None:
    lose(project)
    shutil.copy(beside(project.database, "-wal"), beside(project.database, "-journal"))
    project.database.write_bytes(b"a database")
    assert project.run("restore", "-force", "default").returncode == 0
    for ending in ("-wal", "-shm", "-journal"):
        assert not beside(project.database, ending).exists()
    assert count_rows(project.database) == 10


def test_a_plan_is_shown_beside_what_is_left(project: Project) -> None:
    lose(project)
    planned = project.run("restore", "-dry-run", "default")
    assert planned.returncode == 0, planned.stderr
    assert "Restore plan" in planned.stdout


def test_a_copy_is_not_followed_beside_what_is_left(project: Project) -> None:
    lose(project)
    wal = beside(copy_of(project), "-wal")
    restored = project.run(*restore(project))
    assert restored.returncode == 0, restored.stderr
    beside(copy_of(project), "-txid").write_text(f"{1:016x}\n")
    shutil.copy(beside(project.database, "-wal"), wal)
    refused = project.run("restore", "-f", *restore(project)[1:])
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))


@pytest.mark.parametrize("is_setting", [False, True])
def test_a_daemon_does_not_restore_beside_what_is_left(
    project: Project, is_setting: bool
) -> None:
    flags = () if is_setting else ("-restore-if-db-not-exists",)
    lose(project)
    project.litestream["dbs"][0]["restore-if-db-not-exists"] = is_setting
    project.write_settings()
    refused = project.run("replicate", "-once", *flags)
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert not project.database.exists()


def test_a_database_named_to_a_daemon_is_not_restored_beside_what_is_left(
    project: Project,
) -> None:
    lose(project)
    project.litestream["dbs"] = [
        Project.entry(str(project.directory / "other.sqlite3"), project.directory / "o")
    ]
    project.write_settings()
    words = ("-restore-if-db-not-exists", "default", project.replica.as_uri())
    refused = project.run("replicate", "-once", *words)
    wal = beside(project.database, "-wal")
    assert (refused.returncode, refused.stderr) == (1, is_left(wal))
    assert not project.database.exists()


def test_a_database_that_a_daemon_has_open_is_not_replaced(project: Project) -> None:
    linked = project.directory / "link"
    linked.symlink_to(project.directory)
    through_link = linked / project.database.name
    before = project.database.stat().st_ino
    with project.replicating():
        for target, words in (
            (project.database, ("default",)),
            (through_link, ("-o", str(through_link), project.replica.as_uri())),
        ):
            refused = project.run("restore", "-force", *words)
            assert refused.returncode == 1
            assert refused.stderr == is_replicated(project, target)
        assert project.database.stat().st_ino == before
        kept = project.run("restore", "-if-db-not-exists", "default")
        assert kept.returncode == 0, kept.stderr
        assert project.run(*restore(project)).returncode == 0

        for ending in ("", "-wal", "-shm"):
            beside(project.database, ending).unlink(missing_ok=True)
        refused = project.run("restore", "default")
        assert refused.returncode == 1
        assert refused.stderr == is_replicated(project, project.database)
        assert not project.database.exists()
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10


def test_a_daemon_that_has_not_found_the_database_takes_what_is_restored(
    project: Project,
) -> None:
    lose(project)
    beside(project.database, "-wal").unlink()
    with project.replicating():
        restored = project.run("restore", "default")
        assert restored.returncode == 0, restored.stderr
        wait_until(lambda: project.run("verify").returncode == 0)


def test_a_database_that_the_daemon_has_let_go_of_is_replaced(project: Project) -> None:
    with project.replicating():
        assert project.run("stop", "default").returncode == 0
        restored = project.run("restore", "-force", "default")
        assert restored.returncode == 0, restored.stderr
        assert count_rows(project.database) == 10


def test_a_daemon_that_hangs_is_not_waited_for(project: Project) -> None:
    with project.replicating() as daemon:
        wait_until(lambda: project.run("verify").returncode == 0)
        daemon.send_signal(signal.SIGSTOP)
        refused = project.run("restore", "-force", "default")
        assert (refused.returncode, refused.stderr) == (1, is_locked(project))
        daemon.kill()
        daemon.wait(PATIENCE)
        restored = project.run("restore", "-force", "default")
        assert restored.returncode == 0, restored.stderr


@pytest.mark.parametrize("has_meta_path", [False, True])
def test_a_daemon_whose_socket_is_not_known_is_seen(
    project: Project, has_meta_path: bool
) -> None:
    metadata = None
    if has_meta_path:
        metadata = project.directory / "metadata"
        project.litestream["dbs"][0]["meta-path"] = str(metadata)
        project.write_settings()
    with project.replicating():
        sockets = {"enabled": False}, {"path": str(project.directory / "elsewhere")}
        for project.litestream["socket"] in sockets:
            project.write_settings()
            for words in (
                ("-force", "default"),
                ("-force", "-o", project.database, "default"),
            ):
                refused = project.run("restore", *map(str, words))
                assert refused.returncode == 1
                assert refused.stderr == is_locked(project, metadata)
            kept = project.run("restore", "-if-db-not-exists", "default")
            assert kept.returncode == 0, kept.stderr
            copied = project.run("restore", "-force", *restore(project)[1:])
            assert copied.returncode == 0, copied.stderr
    assert project.run("restore", "-force", "default").returncode == 0


def aside(project: Project) -> Path:
    return beside(project.database, ".replaced")


MOMENTS = [("-timestamp", "2001-01-01T00:00:00Z"), ("-txid", f"{255:016x}")]


@pytest.mark.parametrize("flags", MOMENTS)
def test_what_cannot_be_restored_replaces_nothing(
    project: Project, flags: tuple[str, ...]
) -> None:
    lose(project)
    project.database.write_bytes(b"a database")
    files = [project.database, *project.directory.glob("db.sqlite3-*")]
    before = {file: file.read_bytes() for file in files}
    assert len(before) == 3
    failed = project.run("restore", "-force", *flags, "default")
    assert failed.returncode == 1
    assert failed.stderr == (
        "CommandError: no matching backup files available of that moment. `manage.py "
        "litestream ltx -level all DATABASE` lists what there is.\n"
    )
    assert {file: file.read_bytes() for file in files} == before
    assert not aside(project).exists()


@pytest.mark.parametrize("flags", [(), *MOMENTS])
def test_an_empty_replica_has_no_other_moments(
    project: Project, flags: tuple[str, ...]
) -> None:
    failed = project.run("restore", "-force", *flags, "default")
    assert failed.returncode == 1
    assert "There is no backup that can be restored there" in failed.stderr


def test_a_backup_that_is_damaged_replaces_nothing(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    project.insert(1)
    for file in project.replica.rglob("*.ltx"):
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 255
        file.write_bytes(content)
    failed = project.run("restore", "-force", "default")
    assert failed.returncode == 1, failed.stderr
    assert count_rows(project.database) == 11
    assert not aside(project).exists()


def test_a_restore_that_fails_its_check_replaces_nothing(project: Project) -> None:
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("CREATE INDEX texts ON note (text)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute(
            "UPDATE sqlite_schema SET sql = 'CREATE INDEX texts ON note (number)' "
            "WHERE name = 'texts'"
        )
        connection.commit()
    assert project.run("replicate", "-once").returncode == 0
    inode = project.database.stat().st_ino
    words = ("restore", "-force", "-integrity-check", "full", "default")
    failed = project.run(*words)
    assert failed.returncode == 1, failed.stdout
    assert project.database.stat().st_ino == inode
    assert not aside(project).exists()


def test_an_end_within_a_restore_replaces_nothing(project: Project) -> None:
    """The replica is a pipe, so that Litestream waits in the middle of its work."""
    assert project.run("replicate", "-once").returncode == 0
    project.insert(1)
    (file,) = project.replica.rglob("*.ltx")
    file.unlink()
    os.mkfifo(file)
    command = subprocess.Popen(
        project.command("litestream", "restore", "-force", "default"),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        wait_until(lambda: (aside(project) / project.database.name).exists())
        assert not project.database.exists()
        wait_until(lambda: litestreams_of(command))
        command.terminate()
        assert command.wait(PATIENCE) != 0
    finally:
        for litestream in litestreams_of(command) if command.poll() is None else []:
            os.kill(litestream, signal.SIGKILL)
        command.kill()
        command.wait(PATIENCE)
    assert count_rows(project.database) == 11
    assert not aside(project).exists()


def test_what_a_killed_restore_has_set_aside_is_not_lost(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    aside(project).mkdir()
    refused = project.run("restore", "-force", "default")
    assert refused.returncode == 1
    assert refused.stderr == (
        f"CommandError: {aside(project)} has the database that was here before a restore "
        "which did not end: move it away, and restore again.\n"
    )
    assert count_rows(project.database) == 10
    aside(project).rmdir()
    assert project.run("restore", "-force", "default").returncode == 0
    assert not aside(project).exists()
    assert count_rows(project.database) == 10


@pytest.mark.parametrize("is_empty", [True, False])
def test_what_is_not_restored_for_lack_of_a_backup_replaces_nothing(
    project: Project, is_empty: bool
) -> None:
    """With -if-replica-exists Litestream ends well where it has restored nothing."""
    moment = () if is_empty else MOMENTS[0]
    if not is_empty:
        assert project.run("replicate", "-once").returncode == 0
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("INSERT INTO note (text) VALUES ('in the WAL')")
        connection.commit()
        assert beside(project.database, "-wal").stat().st_size
        words = ("restore", "-force", "-if-replica-exists", *moment, "default")
        restored = project.run(*words)
    assert restored.returncode == 0, restored.stderr
    assert not aside(project).exists()
    assert count_rows(project.database) == 11


@pytest.mark.parametrize("flags", [(), *MOMENTS])
def test_a_link_is_replaced_or_kept_as_one(
    project: Project, flags: tuple[str, ...]
) -> None:
    """A relative one leads nowhere from the directory that it is set aside in."""
    assert project.run("replicate", "-once").returncode == 0
    other = project.directory / "other"
    other.mkdir()
    (other / "db.sqlite3").write_bytes(b"a database")
    copy = copy_of(project)
    copy.symlink_to("other/db.sqlite3")
    restored = project.run("restore", "-force", *flags, "-o", str(copy), "default")
    assert restored.returncode == bool(flags), restored.stderr
    assert not beside(copy, ".replaced").exists()
    assert copy.is_symlink() == bool(flags)
    assert (other / "db.sqlite3").read_bytes() == b"a database"
    if not flags:
        assert count_rows(copy) == 10


@pytest.mark.parametrize("is_daemon", [False, True])
def test_what_a_killed_restore_has_set_aside_is_not_passed_over(
    project: Project, is_daemon: bool
) -> None:
    """It may be newer than the backup, which has the place of it otherwise."""
    assert project.run("replicate", "-once").returncode == 0
    files = [*project.directory.glob("db.sqlite3*")]
    aside(project).mkdir()
    for file in files:
        file.rename(aside(project) / file.name)
    refused = project.run(
        *(("replicate", "-once") if is_daemon else ("restore",)),
        *(
            ("-restore-if-db-not-exists",)
            if is_daemon
            else ("-if-db-not-exists", "default")
        ),
    )
    assert (refused.returncode, refused.stderr) == (
        1,
        f"CommandError: {aside(project)} has the database that was here before a restore "
        "which did not end, and may hold commits that the backup lacks: move it back, or "
        "away and restore again.\n",
    )
    assert not project.database.exists()
    kept = project.run("restore", "-o", str(copy_of(project)), "default")
    assert kept.returncode == 0, kept.stderr


def test_a_daemon_does_not_restore_beside_another_restore(project: Project) -> None:
    with restoring(project):
        project.litestream["dbs"] = [
            Project.entry(str(copy_of(project)), project.replica)
        ]
        project.write_settings()
        refused = project.run("replicate", "-once", "-restore-if-db-not-exists")
        assert (refused.returncode, refused.stderr) == (1, is_restored(project))
        assert not copy_of(project).exists()


@pytest.mark.parametrize("is_daemon", [False, True])
def test_a_lock_that_cannot_be_taken_is_named(
    project: Project, is_daemon: bool
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    for file in project.directory.glob("db.sqlite3*"):
        file.unlink()
    lock = beside(project.database, ".restoring")
    lock.mkdir()
    refused = project.run(
        *(("replicate", "-once") if is_daemon else ("restore", "default")),
        *(("-restore-if-db-not-exists",) if is_daemon else ()),
    )
    assert (refused.returncode, refused.stderr) == (
        1,
        f"CommandError: {lock} cannot be locked (Is a directory), to keep another restore "
        "away: delete it if no restore runs, or restore elsewhere with -o PATH.\n",
    )
    lock.rmdir()
    assert project.run("restore", "default").returncode == 0


def test_a_name_that_no_lock_can_have_is_refused(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    copy = project.directory / ("n" * 248)
    refused = project.run("restore", "-o", str(copy), "default")
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"CommandError: {copy}.restoring cannot be locked (")


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_connection_of_this_thread_goes_on_with_what_is_restored(
    project: Project, is_lost: bool
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    project.databases["other"] = Project.sqlite(project.directory / "other.sqlite3")
    project.write_settings()
    ended = project.complete(
        project.script(
            "from pathlib import Path",
            "from django.db import connections",
            "default, other = connections['default'], connections['other']",
            "default.cursor().execute('SELECT count(*) FROM note')",
            "other.cursor().execute('CREATE TEMPORARY TABLE kept (number)')",
            f"for file in Path().glob('db.sqlite3*') if {is_lost} else ():",
            "    file.unlink()",
            f"call_command('litestream', 'restore', 'default', force={not is_lost})",
            "default.cursor().execute(\"INSERT INTO note (text) VALUES ('new')\")",
            "other.cursor().execute('SELECT * FROM kept')",
        )
    )
    assert ended.returncode == 0, ended.stderr
    assert count_rows(project.database) == 11
