"""Of two daemons on one database only one runs: they destroy each other's replica."""

from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from django_litestream import databases
from django_litestream.binaries import find_executable

from .project import PATIENCE, Project, linux, processes_with, stop, wait_until

AT_ONCE = 5


def start(project: Project, *words: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        project.command("litestream", "replicate", *words),
        cwd=project.directory,
        env=project.environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def end(process: subprocess.Popen[str]) -> str:
    """Kill a process; return what it has said."""
    process.kill()
    return process.communicate(timeout=PATIENCE)[1]


def without_socket(project: Project) -> None:
    project.litestream["socket"] = {"enabled": False}
    project.write_settings()


@pytest.mark.parametrize("has_socket", [True, False])
def test_of_those_that_start_at_once_one_runs(
    project: Project, has_socket: bool
) -> None:
    if not has_socket:
        without_socket(project)
    started = [start(project) for _ in range(AT_ONCE)]
    try:
        wait_until(lambda: sum(one.poll() is None for one in started) == 1)
        refused = [one for one in started if one.poll() is not None]
        wait_until(lambda: project.run("verify").returncode == 0)
        assert sum(one.poll() is None for one in started) == 1
    finally:
        said = {one: end(one) for one in started}
    for one in refused:
        assert one.returncode == 1
        (line,) = said[one].splitlines()
        assert "nother `manage.py litestream replicate`" in line or "already" in line


def test_once_is_refused_beside_a_daemon_without_a_socket(project: Project) -> None:
    without_socket(project)
    daemon = start(project)
    try:
        wait_until((project.private_directory / "replicate.lock").exists)
        wait_until(lambda: project.run("replicate", "-once").returncode == 1)
        refused = project.run("replicate", "-once")
    finally:
        end(daemon)
    assert refused.returncode == 1
    assert "Another `manage.py litestream replicate` of this project" in refused.stderr


@pytest.fixture
def other(project: Project, tmp_path: Path) -> Iterator[Project]:
    """Another project, which has a database of its own first, and then the same one.

    Its socket and its private directory are others: those of its first database.
    """
    first = tmp_path / "other.sqlite3"
    other = Project(
        tmp_path / "other",
        databases={
            "default": Project.sqlite(first),
            "theirs": project.databases["default"],
        },
        litestream={
            "dbs": [
                Project.entry("default", tmp_path / "first"),
                Project.entry("theirs", tmp_path / "second"),
            ]
        },
    )
    with closing(sqlite3.connect(first)) as connection:
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("CREATE TABLE note (number)")
    yield other
    other.remove_private_files()


@pytest.mark.parametrize("has_been_replicated", [False, True])
def test_a_daemon_of_another_project_is_seen(
    project: Project, other: Project, has_been_replicated: bool
) -> None:
    if has_been_replicated:
        assert project.run("replicate", "-once").returncode == 0
    with project.replicating():
        refused = other.run("replicate", "-once")
        assert refused.returncode == 1
        assert (
            f"of another user or project replicates {project.database}"
            in refused.stderr
        )
    assert other.run("replicate", "-once").returncode == 0


def test_the_first_daemon_has_the_directory_made_as_litestream_does(
    project: Project,
) -> None:
    def made() -> list[tuple[int, int, int]]:
        metadata = databases.metadata_beside(project.database)
        status = [path.stat() for path in (metadata, metadata / "ltx")]
        shutil.rmtree(metadata)
        return [(one.st_mode, one.st_uid, one.st_gid) for one in status]

    project.directory.chmod(0o750)
    if os.name == "posix" and os.geteuid() == 0:
        os.chown(project.directory, 12345, 12346)
    url = project.replica.as_uri()
    words = ("replicate", "-once", project.database, url)
    subprocess.run([find_executable(), *words], check=True)
    by_litestream = made()
    assert project.run("replicate", "-once").returncode == 0
    assert made() == by_litestream


@pytest.mark.parametrize("content", [None, b"no database" * 100])
def test_nothing_is_made_beside_what_is_not_replicated(
    project: Project, content: bytes | None
) -> None:
    project.database.unlink()
    if content:
        project.database.write_bytes(content)
    project.run("replicate", "-once")
    assert not databases.metadata_beside(project.database).exists()


@pytest.mark.parametrize("way", ["named", "configured", "in a directory"])
def test_what_is_not_of_the_settings_is_refused_beside_a_daemon(
    project: Project, way: str
) -> None:
    typed = project.directory / "typed.yml"
    words = ["-config", str(typed)]
    if way == "named":
        words = ["default", project.replica.as_uri()]
    elif way == "configured":
        typed.write_text(project.run("config").stdout)
    else:
        project.environ["PLACE"] = str(project.directory)
        typed.write_text(
            f"dbs: [{{dir: '$PLACE', pattern: '*.sqlite3', "
            f"replica: {{type: file, path: '{project.replica}'}}}}]"
        )
    with project.replicating():
        refused = project.run("replicate", "-once", *words)
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert f"A daemon replicates {project.database} already" in line
    assert project.run("replicate", "-once", *words).returncode == 0


@pytest.mark.parametrize("text", ["", "dbs: 5", "dbs: [5]", "dbs: [{path: [5]}]", "["])
def test_what_is_no_configuration_is_litestreams_to_refuse(
    project: Project, text: str
) -> None:
    typed = project.directory / "typed.yml"
    typed.write_text(text)
    ended = project.run("replicate", "-once", "-config", str(typed))
    assert "Traceback" not in ended.stderr
    assert not databases.metadata_beside(project.database).exists()


@pytest.mark.parametrize("has_socket", [True, False])
def test_what_a_daemon_replicates_is_not_reset(
    project: Project, has_socket: bool
) -> None:
    metadata = databases.metadata_beside(project.database)
    if not has_socket:
        without_socket(project)
    daemon = start(project)
    try:
        wait_until(lambda: list(metadata.glob("ltx/0/*.ltx")))
        refused = project.run("reset", "default")
        assert refused.returncode == 1
        (line,) = refused.stderr.splitlines()
        assert "stop the daemon first" in line
        assert project.run("reset", "-dry-run", "default").returncode == 0
        project.insert(1)
        assert project.run("verify").returncode == 0
    finally:
        end(daemon)
    assert project.run("reset", "default").returncode == 0
    assert not (metadata / "ltx").exists()


@linux
@pytest.mark.skipif(
    os.name == "nt" or os.geteuid() != 0, reason="only root may give a file away"
)
def test_what_root_leaves_is_the_database_owners(project: Project) -> None:
    assert project.run("replicate", "-once").returncode == 0
    metadata = databases.metadata_beside(project.database)
    os.chown(metadata, 12345, 12346)
    assert project.run("replicate", "-once").returncode == 0
    status = (metadata / "replicate.lock").stat()
    assert (status.st_uid, status.st_gid) == (12345, 12346)


@linux
def test_a_web_server_that_outlives_its_daemon_does_not_hold_the_lock(
    project: Project,
) -> None:
    without_socket(project)
    server = "sleep 31.4159"
    daemon = start(project, "-exec", server)

    def is_served() -> bool:
        return any(line.startswith(server) for line in processes_with(server))

    try:
        wait_until(is_served)
        daemon.kill()
        daemon.wait()
        assert is_served()
        assert project.run("replicate", "-once").returncode == 0
    finally:
        subprocess.run(["pkill", "-f", f"^{server}"], check=False)
        end(daemon)


@linux
def test_a_daemon_that_outlives_what_called_for_it_holds_the_lock(
    project: Project,
) -> None:
    without_socket(project)
    # A line of its log, which nobody reads then, would end it.
    command = "call_command('litestream', 'replicate', '-log-level', 'error')"
    caller = subprocess.Popen(
        project.script(command),
        cwd=project.directory,
        env=project.environment(),
    )
    children = Path(f"/proc/{caller.pid}/task/{caller.pid}/children")

    def daemons() -> list[int]:
        return [
            int(child)
            for child in children.read_text().split()
            if Path(f"/proc/{child}/exe").resolve().name == "litestream"
        ]

    try:
        wait_until(daemons)
        (daemon,) = daemons()
    finally:
        stop(caller, signal.SIGKILL)
    try:
        refused = project.run("replicate", "-once")
        assert refused.returncode == 1
        assert "runs or starts" in refused.stderr
    finally:
        os.kill(daemon, signal.SIGKILL)
    wait_until(lambda: project.run("replicate", "-once").returncode == 0)


@linux
def test_of_the_threads_of_a_process_one_replicates(project: Project) -> None:
    without_socket(project)
    output = project.directory / "output"
    script = (
        "import threading",
        "from django.core.management import CommandError",
        "def replicate():",
        "    try:",
        "        call_command('litestream', 'replicate')",
        "    except CommandError as error:",
        "        print(error, flush=True)",
        "for _ in range(3): threading.Thread(target=replicate).start()",
    )
    with output.open("wb") as written:
        process = subprocess.Popen(
            project.script(*script),
            cwd=project.directory,
            env=project.environment(),
            stdout=written,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        wait_until(lambda: output.read_text().count("runs or starts") == 2)
        assert project.run("replicate", "-once").returncode == 1
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def test_a_process_lets_go_of_the_lock_with_the_end_of_its_command(
    project: Project,
) -> None:
    once = "call_command('litestream', 'replicate', '-once')"
    with subprocess.Popen(
        project.script(once, once, "print('done', flush=True)", "sys.stdin.read()"),
        cwd=project.directory,
        env=project.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as holder:
        assert holder.stdout is not None
        try:
            assert "done\n" in holder.stdout
            assert project.run("replicate", "-once").returncode == 0
        finally:
            holder.kill()
