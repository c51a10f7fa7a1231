"""``manage.py litestream replicate`` from the shell: it becomes the daemon."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from django_litestream import binaries

from .project import Project, linux, processes_with, stop, wait_until


def resident_bytes(pid: int) -> int:
    status = Path(f"/proc/{pid}/status").read_text()
    found = re.search(r"VmRSS:\s+(\d+) kB", status)
    assert found
    return int(found[1]) * 1024


@linux
def test_it_becomes_the_binary(project: Project) -> None:
    with project.replicating() as daemon:
        assert os.path.samefile(f"/proc/{daemon.pid}/exe", binaries.find_executable())
        words = Path(f"/proc/{daemon.pid}/cmdline").read_bytes().split(b"\0")
        assert words[1] == b"replicate"
        # The process this test started is the only one there is.
        assert len(processes_with(project.private_directory)) == 1


@linux
def test_it_is_as_small_as_the_bare_binary(project: Project) -> None:
    with project.replicating() as daemon:
        ours = resident_bytes(daemon.pid)
    file = project.private_directory / "litestream.yml"
    bare = subprocess.Popen(
        [binaries.find_executable(), "replicate", "-config", file],
        stdout=subprocess.DEVNULL,
    )
    try:
        wait_until(lambda: project.socket.exists())
        theirs = resident_bytes(bare.pid)
    finally:
        stop(bare)
    # A Python beside it would double it.
    assert ours < theirs * 1.3


def test_sigterm_after_a_commit_loses_nothing(project: Project) -> None:
    """A daemon with Litestream's own intervals that has synced once."""
    project.litestream["dbs"][0]["replica"] = {
        "type": "file",
        "path": str(project.replica),
    }
    del project.litestream["dbs"][0]["monitor-interval"]
    project.write_settings()
    temporary = project.directory / "tmp"
    temporary.mkdir()
    project.environ["TMPDIR"] = str(temporary)
    for _ in range(20):
        with project.replicating() as daemon:
            rows = project.insert()
            assert stop(daemon) == 0
        assert project.restored_rows() == rows
        assert list(temporary.iterdir()) == []
        assert not processes_with(project.private_directory)
        assert {path.name for path in project.private_directory.iterdir()} == {
            "litestream.yml",
            "replicate.lock",
        }


def test_its_configuration_is_for_this_user_only(project: Project) -> None:
    with project.replicating():
        file = project.private_directory / "litestream.yml"
        assert file.stat().st_mode & 0o777 == 0o600
        assert file.parent.stat().st_mode & 0o777 == 0o700


@linux
def test_signals_have_their_usual_meaning_to_it(project: Project) -> None:
    """Python ignores SIGPIPE, and what is ignored stays so across an exec."""
    with project.replicating() as daemon:
        status = Path(f"/proc/{daemon.pid}/status").read_text()
        found = re.search(r"SigIgn:\s+([0-9a-f]+)", status)
        assert found
        assert not int(found[1], 16) & 1 << (signal.SIGPIPE - 1)


@pytest.mark.skipif(not shutil.which("bash"), reason="a shell that has <(...)")
@pytest.mark.parametrize("words", [("replicate", "-once"), ("databases",)])
def test_a_configuration_that_comes_through_a_pipe(
    project: Project, words: tuple[str, ...]
) -> None:
    configuration = project.directory / "litestream.yml"
    configuration.write_text(project.run("config").stdout)
    command = shlex.join(project.command("litestream", *words))
    completed = project.complete(
        ["bash", "-c", f"{command} -config <(cat {configuration})"]
    )
    assert completed.returncode == 0, completed.stderr
    assert str(project.database) in completed.stdout
    if "replicate" in words:
        assert project.restored_rows() == 10
