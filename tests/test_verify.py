"""``verify`` tells a good backup from a bad one, for real."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_litestream import marks

from .project import PATIENCE, Project, count_rows, linux, stop, take_away, wait_until
from .test_placement import mounted

GOOD, BAD, UNCHECKED = 0, 1, 2


def newest_file(replica: Path) -> Path:
    return max(
        replica.rglob("*.ltx"), key=lambda path: (path.name, path.stat().st_mtime)
    )


def copy_replica(project: Project, name: str) -> Path:
    copied = project.directory / name
    shutil.copytree(project.replica, copied)
    return copied


def marked_rows(database: Path) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT * FROM {marks.TABLE}").fetchall()


@contextmanager
def write_locked(database: Path) -> Iterator[None]:
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield


def assert_one_line(completed: subprocess.CompletedProcess[str]) -> str:
    assert completed.stderr.startswith("CommandError: ")
    assert completed.stderr.count("\n") == 1
    return completed.stderr


def test_a_good_backup(project: Project) -> None:
    with project.replicating():
        completed = project.run("verify")
    assert (completed.returncode, completed.stderr) == (GOOD, "")
    heading, *steps = completed.stdout.splitlines()
    assert heading.startswith("default: good: the newest commit can be restored")
    assert heading.endswith(", and every page is the same")
    assert [step.split()[0] for step in steps] == [
        "marked",
        "copied",
        "replicated",
        "restored",
        "checked",
        "compared",
    ]


def test_json_for_machines(project: Project) -> None:
    with project.replicating():
        completed = project.run("verify", "-json", "default")
    (report,) = json.loads(completed.stdout)
    assert completed.returncode == GOOD
    assert list(report) == [
        "database",
        "path",
        "status",
        "reason",
        "txid",
        "compared",
        "steps",
    ]
    assert report["compared"] is True
    assert report["database"] == "default"
    assert report["path"] == str(project.database)
    assert report["status"] == "good"
    assert int(report["txid"], 16) > 0


def test_it_leaves_one_row_and_no_file_however_often_it_runs(project: Project) -> None:
    temporary = project.directory / "tmp"
    temporary.mkdir()
    project.environ["TMPDIR"] = str(temporary)
    with project.replicating():
        before = sorted(project.private_directory.iterdir())
        project.run("verify")
        first = marked_rows(project.database)
        project.run("verify")
        second = marked_rows(project.database)
        left = sorted(project.private_directory.iterdir())
    assert len(first) == len(second) == 1
    assert first != second
    assert list(temporary.iterdir()) == []
    assert left == before


def test_the_database_is_being_written_to_all_the_while(project: Project) -> None:
    with project.replicating():
        context = multiprocessing.get_context("spawn")
        ended = context.Event()
        writer = context.Process(target=_write_until, args=(project.database, ended))
        writer.start()
        try:
            before = count_rows(project.database)
            codes = [project.run("verify").returncode for _ in range(5)]
            after = count_rows(project.database)
        finally:
            ended.set()
            writer.join(PATIENCE)
    assert codes == [GOOD] * 5
    assert after > before + 5


def _write_until(database: Path, ended: Any) -> None:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        while not ended.is_set():
            with connection:
                connection.execute("INSERT INTO note (text) VALUES ('more')")
            time.sleep(0.001)


@linux
def test_the_daemon_keeps_its_lock_on_the_wal(project: Project) -> None:
    """Without it SQLite overwrites commits that have not been replicated.

    A sync over the control socket costs Litestream 0.5.17 this lock where it
    checkpoints, at 1,000 pages of WAL with default settings.
    """
    # Seldom enough that it is not the daemon itself that checkpoints.
    project.litestream["dbs"][0]["monitor-interval"] = "4s"
    project.write_settings()
    with project.replicating() as daemon:
        assert read_locks(daemon.pid, project.database)
        for _ in range(2):
            project.insert(100_000)
            assert project.run("verify").returncode == GOOD
            assert read_locks(daemon.pid, project.database)


def read_locks(pid: int, database: Path) -> list[int]:
    """Return the WAL_READ_LOCK bytes of the wal-index that a process holds.

    They are bytes 123 to 127 (https://sqlite.org/walformat.html#wal_locks).
    """
    inode = Path(f"{database}-shm").stat().st_ino
    fields = [line.split() for line in Path("/proc/locks").read_text().splitlines()]
    return [
        int(first)
        for *_, owner, file, first, _ in fields
        if owner == str(pid) and file.endswith(f":{inode}") and 123 <= int(first) <= 127
    ]


def test_verifying_a_busy_database_does_its_backup_no_harm(project: Project) -> None:
    """Litestream's own intervals, and commits to several pages at a time."""
    project.litestream["dbs"][0] = {
        "path": "default",
        "replica": {"type": "file", "path": str(project.replica)},
    }
    project.write_settings()
    with closing(sqlite3.connect(project.database, timeout=PATIENCE)) as connection:
        connection.execute("CREATE INDEX by_text ON note (text)")
    with project.replicating():
        ended = threading.Event()
        writer = threading.Thread(target=_scatter, args=(project.database, ended))
        writer.start()
        try:
            codes = [project.run("verify").returncode for _ in range(4)]
        finally:
            ended.set()
            writer.join()
        codes.append(project.run("verify").returncode)
    assert codes == [GOOD] * 5
    assert project.restored_rows() == count_rows(project.database)


def _scatter(database: Path, ended: threading.Event) -> None:
    with closing(sqlite3.connect(database, timeout=PATIENCE)) as connection:
        while not ended.wait(0.003):
            with connection:
                connection.execute(
                    "INSERT INTO note (text) VALUES (?)", [secrets.token_hex()]
                )


def test_two_verifications_at_once_are_both_right(project: Project) -> None:
    with project.replicating():
        running = [
            subprocess.Popen(
                project.command("litestream", "verify"),
                cwd=project.directory,
                stdout=subprocess.DEVNULL,
            )
            for _ in range(4)
        ]
        assert [one.wait(PATIENCE) for one in running] == [GOOD] * 4


def test_inside_a_transaction_of_the_caller(project: Project) -> None:
    """Its row must be committed whatever transaction the caller is in."""
    project.databases["default"]["ATOMIC_REQUESTS"] = True
    project.write_settings()
    script = project.script(
        "from django.db import transaction",
        "with transaction.atomic():",
        "    call_command('litestream', 'verify')",
    )
    with project.replicating():
        completed = subprocess.run(
            script,
            cwd=project.directory,
            env=project.environment(),
            capture_output=True,
            text=True,
            check=False,
        )
    assert completed.returncode == GOOD, completed.stderr
    assert "default: good" in completed.stdout


def test_a_stale_replica_is_bad(project: Project) -> None:
    """The daemon replicates, but not to where the settings say the backup is."""
    with project.replicating():
        stale = copy_replica(project, "stale")
        project.litestream["dbs"][0]["replica"]["path"] = str(stale)
        project.write_settings()
        completed = project.run("verify", "-timeout", "2")
    assert completed.returncode == BAD
    assert "took nothing new within 2 s, though a daemon" in assert_one_line(completed)


@linux
@pytest.mark.parametrize("linked", [False, True])
def test_a_database_that_was_replaced_under_the_daemon_is_bad(
    project: Project, linked: bool
) -> None:
    if linked:
        link = project.directory / "link.sqlite3"
        link.symlink_to(project.database)
        project.databases["default"] = project.sqlite(link)
        project.write_settings()
    with project.replicating():
        assert project.run("verify").returncode == GOOD
        other = project.directory / "other.sqlite3"
        with closing(sqlite3.connect(project.database)) as connection:
            connection.execute("VACUUM INTO ?", [str(other)])
        with closing(sqlite3.connect(other)) as connection:
            connection.execute("PRAGMA journal_mode=WAL")
        for beside in ("-wal", "-shm"):
            Path(f"{project.database}{beside}").unlink()
        other.replace(project.database)
        completed = project.run("verify", "-timeout", "2")
    assert completed.returncode == BAD
    assert "replicates a file that was at" in assert_one_line(completed)


@pytest.mark.parametrize("keep", [0, 50, 150])
def test_a_truncated_file_is_bad(project: Project, keep: int) -> None:
    """Damage in a file that nothing has been compacted from yet."""
    project.litestream["levels"] = [{"interval": "12h"}]
    project.write_settings()
    with project.replicating():
        wait_until(lambda: any(project.replica.glob("ltx/9/*.ltx")))
        before = newest_file(project.replica)
        project.insert(100)
        wait_until(lambda: newest_file(project.replica).name != before.name)
        file = newest_file(project.replica)
        file.write_bytes(file.read_bytes()[:keep])
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "The replica cannot be restored" in assert_one_line(completed)


def test_a_replica_deleted_under_the_daemon_is_bad_until_it_has_a_snapshot(
    project: Project,
) -> None:
    with project.replicating():
        # The daemon's first snapshot is due about a second after its start. What is
        # still being uploaded would be uploaded again, and be a good backup.
        wait_until(
            lambda: (
                {path.parent.name for path in project.replica.glob("ltx/*/*.ltx")}
                >= {"0", "9"}
            )
        )
        take_away(project.replica)
        completed = project.run("verify")
        assert completed.returncode == BAD
        assert "cannot be restored" in assert_one_line(completed)


def test_a_replica_elsewhere_is_no_replica(project: Project) -> None:
    with project.replicating():
        project.litestream["dbs"][0]["replica"]["path"] = str(
            project.directory / "elsewhere"
        )
        project.write_settings()
        completed = project.run("verify", "-timeout", "2")
    assert completed.returncode == UNCHECKED
    assert "There is no backup where" in assert_one_line(completed)


def test_no_daemon_is_unchecked(project: Project) -> None:
    with project.replicating():
        pass
    completed = project.run("verify", "-timeout", "1.5")
    assert completed.returncode == UNCHECKED
    message = assert_one_line(completed)
    assert "took nothing new within 1.5 s" in message
    assert f"no daemon answers on {project.socket}" in message


def test_no_daemon_and_no_backup_is_unchecked(project: Project) -> None:
    completed = project.run("verify", "-timeout", "0.5")
    assert completed.returncode == UNCHECKED
    assert "There is no backup where" in assert_one_line(completed)


def test_a_daemon_without_a_socket_is_waited_for(project: Project) -> None:
    project.litestream["socket"] = {"enabled": False}
    project.write_settings()
    daemon = subprocess.Popen(
        project.command("litestream", "replicate"),
        cwd=project.directory,
        stdout=subprocess.DEVNULL,
    )
    try:
        completed = project.run("verify")
    finally:
        stop(daemon)
    assert completed.returncode == GOOD, completed.stderr
    assert "default: good" in completed.stdout


def test_a_frozen_daemon_is_unchecked(project: Project) -> None:
    with project.replicating() as daemon:
        daemon.send_signal(signal.SIGSTOP)
        completed = project.run("verify", "-timeout", "1")
    assert completed.returncode == UNCHECKED
    assert_one_line(completed)


def test_a_stopped_database_is_bad(project: Project) -> None:
    with project.replicating():
        assert project.run("stop", "default").returncode == 0
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "manage.py litestream start" in assert_one_line(completed)


def test_a_database_the_daemon_does_not_know_is_unchecked(project: Project) -> None:
    with project.replicating():
        other = project.directory / "other.sqlite3"
        shutil.copy(project.database, other)
        project.databases["other"] = project.sqlite(other)
        project.litestream["dbs"].append(
            project.entry("other", project.directory / "other-replica")
        )
        project.write_settings()
        completed = project.run("verify", "other")
    assert completed.returncode == UNCHECKED
    assert "restart it after a change of settings" in assert_one_line(completed)


def test_a_locked_database_is_unchecked(project: Project) -> None:
    with project.replicating(), write_locked(project.database):
        completed = project.run("verify", "-timeout", "1")
    assert completed.returncode == UNCHECKED
    assert "database is locked" in assert_one_line(completed)


def test_a_lock_that_ends_in_time_is_waited_for(project: Project) -> None:
    with project.replicating():
        with write_locked(project.database):
            verification = subprocess.Popen(
                project.command("litestream", "verify"), cwd=project.directory
            )
            time.sleep(2)
        assert verification.wait(PATIENCE) == GOOD


def test_a_missing_database_is_unchecked_and_not_made(project: Project) -> None:
    with project.replicating():
        pass
    project.database.unlink()
    completed = project.run("verify")
    assert completed.returncode == UNCHECKED
    assert "does not exist" in assert_one_line(completed)
    assert not project.database.exists()


def test_a_replica_that_cannot_be_read_is_unchecked(project: Project) -> None:
    with project.replicating() as daemon:
        take_away(project.replica)
        project.replica.write_text("not a directory")
        completed = project.run("verify")
        # It would go on trying for half a minute.
        daemon.kill()
    assert completed.returncode == UNCHECKED
    assert "not a directory" in assert_one_line(completed)


def test_a_broken_page_in_the_backup_is_bad(project: Project) -> None:
    """The replica restores, but what it holds is not a sound database."""
    with project.replicating():
        pass
    # Litestream copies pages as they are: make the damage in the source.
    with closing(sqlite3.connect(project.database)) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        connection.execute("CREATE INDEX by_text ON note (text)")
        connection.execute("PRAGMA writable_schema=ON")
        connection.execute("DELETE FROM sqlite_schema WHERE name = 'by_text'")
        connection.commit()
    with project.replicating():
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert "integrity check" in assert_one_line(completed)


def change_behind_litestream(project: Project) -> None:
    """Change a row in the file itself, as no commit does that Litestream reads."""
    content = project.database.read_bytes()
    assert content.count(b"changed") == 0
    with project.database.open("r+b") as file:
        file.seek(content.index(b"x" * 50))
        file.write(b"changed")


def test_a_sound_backup_that_lacks_a_change_is_bad(project: Project) -> None:
    with project.replicating():
        assert project.run("verify").returncode == GOOD
    # Ended, Litestream has left all in the file and nothing in the WAL.
    change_behind_litestream(project)
    with project.replicating():
        completed = project.run("verify")
        assert completed.returncode == BAD
        assert "pages differ, page " in assert_one_line(completed)
    assert project.run("replicate", "-once", "-force-snapshot").returncode == 0
    with project.replicating():
        assert project.run("verify").returncode == GOOD


@linux
def test_a_disk_too_small_for_what_is_in_the_wal_is_unchecked(
    project: Project, tmp_path: Path
) -> None:
    small = tmp_path / "small"
    project.environ["TMPDIR"] = str(small)
    with (
        mounted(small, "size=2m"),
        project.replicating(),
        closing(sqlite3.connect(project.database, isolation_level=None)) as reader,
    ):
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM note").fetchone()
        project.insert(100_000)
        assert project.database.stat().st_size < 1 << 20
        verified = project.run("verify")
        assert verified.returncode == 2
        assert "point TMPDIR at a larger disk" in verified.stderr


@pytest.mark.parametrize("flags", [(), ("-json",)])
def test_without_a_daemon_to_ask_nothing_is_compared(
    project: Project, flags: tuple[str, ...]
) -> None:
    """Cron mails what is on standard error, whatever becomes of the rest."""
    project.litestream["socket"] = {"enabled": False}
    project.write_settings()
    daemon = subprocess.Popen(
        project.command("litestream", "replicate"),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        completed = project.run("verify", "-timeout", str(PATIENCE), *flags)
    finally:
        stop(daemon)
    assert completed.returncode == GOOD
    assert completed.stderr == (
        "Warning: default: its pages were not compared: no daemon answers\n"
    )
    if flags:
        (report,) = json.loads(completed.stdout)
        assert (report["status"], report["compared"]) == ("good", False)
    else:
        assert completed.stdout.startswith("default: good: the newest commit can be")
        assert "page" not in completed.stdout


def test_one_bad_among_good_ones_is_named(project: Project) -> None:
    other = project.directory / "other.sqlite3"
    shutil.copy(project.database, other)
    project.databases["other"] = project.sqlite(other)
    project.litestream["dbs"].append(
        {"path": "other", "replica": {"type": "file", "path": str(other) + ".d"}}
    )
    project.write_settings()
    with project.replicating():
        assert project.run("stop", "other").returncode == 0
        completed = project.run("verify")
    assert completed.returncode == BAD
    assert completed.stdout.startswith("default: good")
    assert assert_one_line(completed).startswith("CommandError: other: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_interrupted_it_leaves_no_file(project: Project, number: int) -> None:
    temporary = project.directory / "tmp"
    temporary.mkdir()
    project.environ["TMPDIR"] = str(temporary)
    project.insert(20_000)
    with project.replicating():
        verification = subprocess.Popen(
            project.command("litestream", "verify"),
            cwd=project.directory,
            env=project.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        wait_until(lambda: any(temporary.iterdir()))
        verification.send_signal(number)
        verification.wait(PATIENCE)
        assert list(temporary.iterdir()) == []
        assert not list(project.private_directory.glob("litestream-*.yml"))


with_default = override_settings(
    LITESTREAM={"dbs": [{"path": "default", "replica": {"path": "/nowhere"}}]}
)


@with_default
@pytest.mark.parametrize("timeout", ["0", "-1", "soon", "nan", "inf"])
def test_a_timeout_that_is_none(timeout: str) -> None:
    with pytest.raises(CommandError, match="number of seconds above 0") as caught:
        call_command("litestream", "verify", f"-timeout={timeout}")
    assert caught.value.returncode == UNCHECKED


@with_default
def test_a_mistyped_alias_is_not_a_bad_backup() -> None:
    with pytest.raises(CommandError, match="did you mean 'default'") as caught:
        call_command("litestream", "verify", "defualt")
    assert caught.value.returncode == UNCHECKED


@with_default
def test_a_database_that_is_not_configured() -> None:
    with pytest.raises(CommandError, match=r"text is not in settings.LITESTREAM"):
        call_command("litestream", "verify", "text")
