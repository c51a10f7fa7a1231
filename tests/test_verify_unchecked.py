"""What cannot be checked is neither good nor bad."""

from __future__ import annotations

import json
import shutil
import signal
import sqlite3
import subprocess
import time
from contextlib import closing
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from .project import PATIENCE, Project, linux, stop, take_away
from .test_placement import mounted
from .verified import (
    GOOD,
    UNCHECKED,
    assert_one_line,
    write_locked,
)

with_default = override_settings(
    LITESTREAM={"dbs": [{"path": "default", "replica": {"path": "/nowhere"}}]}
)


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
