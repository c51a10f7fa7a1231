"""A command that failed says so: one line, the cause, what to do, not zero."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.test import override_settings

from .project import PATIENCE, Project, count_rows, stop, take_away, wait_until
from .settings import DIRECTORY

REPLICA = {"type": "file", "path": str(DIRECTORY / "no-replica")}
SETTINGS: dict[str, Any] = {"dbs": [{"path": "default", "replica": REPLICA}]}


def failing(*words: str, **settings: Any) -> CommandError:
    """Return the error that a command raises in this process."""
    with (
        override_settings(LITESTREAM={**SETTINGS, **settings}),
        pytest.raises(CommandError) as caught,
    ):
        call_command("litestream", *words, stdout=StringIO(), stderr=StringIO())
    assert "\n" not in str(caught.value)
    return caught.value


def failing_from_shell(project: Project, *words: str) -> str:
    """Return the one line that a command prints from the shell."""
    completed = project.run(*words)
    assert completed.returncode == 1
    assert completed.stderr.startswith("CommandError: ")
    assert completed.stderr.count("\n") == 1
    assert "Traceback" not in completed.stdout + completed.stderr
    return completed.stderr


def test_a_restore_without_a_backup(project: Project) -> None:
    project.database.unlink()
    line = failing_from_shell(project, "restore", "default")
    assert "no matching backup files available" in line
    assert "manage.py litestream replicate" in line
    assert not project.database.exists()

    error = failing("restore", "-o", str(DIRECTORY / "out"), "default")
    assert error.returncode == 1
    assert "no matching backup files available" in str(error)
    assert not (DIRECTORY / "out").exists()


def test_a_mistyped_alias(project: Project) -> None:
    line = failing_from_shell(project, "restore", "defualt")
    assert "No database alias 'defualt'" in line
    assert "did you mean 'default'?" in line
    for words in (["sync", "defualt"], ["status", "defualt"], ["ltx", "defualt"]):
        assert "did you mean 'default'?" in str(failing(*words))


def test_an_alias_that_is_not_configured() -> None:
    assert "database not found in config" in str(failing("restore", "text"))
    assert "text is not in settings.LITESTREAM['dbs']" in str(failing("status", "text"))


def test_an_unreadable_configuration_file(project: Project) -> None:
    missing = str(project.directory / "missing.yml")
    line = failing_from_shell(project, "status", "-config", missing)
    assert f"config file not found: {missing}. Correct the path" in line
    broken = project.directory / "broken.yml"
    broken.write_text("dbs: [")
    assert "yaml: line 1" in str(failing("status", "-config", str(broken)))


def test_settings_that_cannot_be_read(project: Project) -> None:
    project.litestream["dbs"] = "default"
    project.write_settings()
    line = failing_from_shell(project, "databases")
    assert "settings.LITESTREAM['dbs'] is improperly configured" in line
    assert "expected a list of dictionaries" in line
    assert "got 'default'" in line


def test_a_misspelt_key_which_litestream_would_ignore() -> None:
    error = failing("databases", snapshots={"retention": "1h"})
    assert "unknown key 'snapshots': did you mean 'snapshot'?" in str(error)
    with override_settings(SILENCED_SYSTEM_CHECKS=["litestream.E002"]):
        assert "no LTX" not in str(failing("restore", "default", snapshots={}))


def test_a_missing_executable(project: Project) -> None:
    project.litestream["bin_path"] = str(project.directory / "nowhere")
    project.write_settings()
    line = failing_from_shell(project, "version")
    assert "settings.LITESTREAM['bin_path']" in line
    assert "not an executable file" in line
    assert failing("version", bin_path="/nowhere").returncode == 1


def test_an_executable_of_another_platform(tmp_path: Path) -> None:
    binary = tmp_path / "litestream"
    binary.write_bytes(b"\x7fELF of something else")
    binary.chmod(0o755)
    assert "cannot be executed: Exec format error" in str(
        failing("version", bin_path=binary)
    )
    # Of the backup that says nothing.
    unchecked = failing("verify", bin_path=binary)
    assert unchecked.returncode == 2
    assert "cannot be executed: Exec format error" in str(unchecked)


def test_it_does_not_become_an_executable_of_another_platform(project: Project) -> None:
    binary = project.directory / "litestream"
    binary.write_bytes(b"\x7fELF of something else")
    binary.chmod(0o755)
    project.litestream["bin_path"] = str(binary)
    project.write_settings()
    assert "Exec format error" in failing_from_shell(project, "replicate")


def test_a_replica_that_cannot_be_written(project: Project) -> None:
    blocked = project.directory / "a file"
    blocked.touch()
    project.litestream["dbs"][0]["replica"]["path"] = str(blocked / "replica")
    project.write_settings()
    for flags in ([], ["-once"]):
        line = failing_from_shell(project, "replicate", *flags)
        assert f"cannot be written to {blocked / 'replica'}: Not a directory" in line

    with (
        override_settings(
            LITESTREAM={
                "dbs": [{"path": "default", "replica": {"url": f"file://{blocked}"}}]
            }
        ),
        pytest.raises(CommandError, match="cannot be written to"),
    ):
        call_command("litestream", "replicate")


def test_a_replica_that_becomes_unwritable_under_the_daemon(project: Project) -> None:
    with project.replicating() as daemon:
        take_away(project.replica)
        project.replica.touch()
        project.insert()
        line = failing_from_shell(project, "sync", "-wait", "-timeout", "2", "default")
        daemon.kill()
    assert "does not hold transaction" in line
    assert "the daemon's log says why" in line
    assert "not a directory" in project.daemon_log()


def test_a_second_daemon_is_refused(project: Project) -> None:
    with project.replicating() as daemon:
        line = failing_from_shell(project, "replicate")
        assert (
            f"A daemon already replicates these databases (process {daemon.pid}" in line
        )
        assert project.run("info").returncode == 0


def test_no_daemon(project: Project) -> None:
    for words in (["info"], ["list"], ["sync", "default"], ["stop", "default"]):
        line = failing_from_shell(project, *words)
        assert "no such file or directory" in line.lower()
        assert "manage.py litestream replicate" in line


def test_a_socket_that_is_switched_off() -> None:
    error = failing("info", socket={"enabled": False})
    assert "settings.LITESTREAM['socket'] switches off" in str(error)


def test_an_existing_database_is_not_overwritten(project: Project) -> None:
    with project.replicating():
        pass
    rows = project.insert()
    line = failing_from_shell(project, "restore", "default")
    assert "output path already exists" in line
    assert "-if-db-not-exists" in line
    assert count_rows(project.database) == rows
    assert project.run("restore", "-if-db-not-exists", "default").returncode == 0


def test_the_exit_status_is_litestreams(project: Project) -> None:
    command = f"{sys.executable} -c 'raise SystemExit(3)'"
    completed = project.run("replicate", "-exec", command)
    assert completed.returncode == 1
    with pytest.raises(CommandError) as caught, override_settings(LITESTREAM=SETTINGS):
        call_command("litestream", "replicate", "-exec", command, stdout=StringIO())
    assert caught.value.returncode == 1


def test_an_unknown_subcommand() -> None:
    assert "invalid choice: 'restor'" in str(failing("restor"))


def test_a_flag_litestream_does_not_know() -> None:
    error = failing("restore", "-no-such-flag", "default")
    assert "flag provided but not defined: -no-such-flag" in str(error)


@pytest.mark.parametrize("own", ["config", "verify"])
def test_a_flag_our_own_subcommands_do_not_know(own: str) -> None:
    error = failing(own, "-no-such-flag")
    assert (str(error), error.returncode) == ("Not understood: -no-such-flag", 2)


def test_a_home_that_is_not_ours_alone(project: Project) -> None:
    """The directory for the configuration file belongs to somebody else."""
    if os.geteuid() != 0:
        pytest.skip("only root can give a directory away")
    project.private_directory.mkdir(parents=True, exist_ok=True)
    os.chown(project.private_directory, 65534, 65534)
    line = failing_from_shell(project, "databases")
    assert "belongs to another user" in line


def test_output_goes_where_call_command_says() -> None:
    out, err = StringIO(), StringIO()
    with override_settings(LITESTREAM=SETTINGS):
        call_command("litestream", "version", stdout=out, stderr=err, verbosity=2)
    assert out.getvalue().strip().startswith("0.")
    assert err.getvalue().strip().endswith("litestream version")


def test_call_command_never_replaces_the_process(project: Project) -> None:
    completed = project.complete(
        project.script(
            "call_command('litestream', 'replicate', '-once', stdout=sys.stderr)",
            "print('still Python')",
        )
    )
    assert completed.stdout == "still Python\n"
    assert "one-shot replication complete" in completed.stderr
    assert project.restored_rows() == 10


def test_sigterm_reaches_a_daemon_of_call_command_first(project: Project) -> None:
    caller = subprocess.Popen(
        project.script("call_command('litestream', 'replicate')"),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: any(project.replica.rglob("*.ltx")))
        rows = project.insert()
    finally:
        assert stop(caller) == 128 + signal.SIGTERM
    assert project.restored_rows() == rows
    # An empty file for those that come after it, and no configuration.
    assert [one.name for one in project.private_directory.iterdir()] == [
        "replicate.lock"
    ]


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such end")
@pytest.mark.parametrize("subcommand", ["config", "databases"])
def test_a_reader_that_goes_away_ends_a_command_quietly(
    project: Project, subcommand: str
) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    try:
        completed = subprocess.run(
            project.command("litestream", subcommand),
            cwd=project.directory,
            env=project.environment(),
            stdout=writing,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    finally:
        os.close(writing)
    assert (completed.returncode, completed.stderr) == (141, "")
