"""``verify`` tells a good backup from a bad one, for real."""

from __future__ import annotations

import json
import multiprocessing
import secrets
import signal
import sqlite3
import subprocess
import threading
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from django_litestream import marks

from .project import PATIENCE, Project, count_rows, linux, wait_until
from .verified import (
    GOOD,
    read_locks,
)


def marked_rows(database: Path) -> list[Any]:
    with closing(sqlite3.connect(database)) as connection:
        return connection.execute(f"SELECT * FROM {marks.TABLE}").fetchall()


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
