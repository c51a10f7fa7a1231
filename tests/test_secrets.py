"""No secret in any output, log, process list or file that others can read."""

from __future__ import annotations

import os
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from .project import Project, processes_with

IN_SETTINGS = "Settings-Secret-7f3a"
IN_URL = "Url-Secret-9b1c"
IN_ENVIRONMENT = "Environment-Secret-2d8e"
SECRETS = (IN_SETTINGS, IN_URL, IN_ENVIRONMENT)


class Locked(BaseHTTPRequestHandler):
    """A WebDAV server that lets nobody in, or Litestream would not even start."""

    def do_OPTIONS(self) -> None:
        self._answer(200)

    def do_PROPFIND(self) -> None:
        self._answer(403)

    do_PUT = do_MKCOL = do_GET = do_PROPFIND

    def _answer(self, status: int) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def webdav() -> Iterator[str]:
    """The URL of a WebDAV replica, its password included."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Locked) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"webdav://me:{IN_URL}@127.0.0.1:{server.server_port}/x"
        server.shutdown()
        thread.join()


@pytest.fixture
def secretive(project: Project, webdav: str) -> Project:
    """A project that holds secrets in each place where there may be some."""
    project.environ["AWS_SECRET_ACCESS_KEY"] = IN_ENVIRONMENT
    project.litestream["secret-access-key"] = IN_SETTINGS
    unused = project.directory / "unused.sqlite3"
    project.databases["unused"] = project.sqlite(unused)
    project.litestream["dbs"].append({"path": "unused", "replica": {"url": webdav}})
    project.write_settings()
    return project


def assert_none_in(*texts: str) -> None:
    for text in texts:
        for secret in SECRETS:
            assert secret not in text


def test_no_command_prints_one(secretive: Project, webdav: str) -> None:
    with secretive.replicating("-log-level", "trace"):
        for words in (
            ["config"],
            ["databases", "-json"],
            ["status"],
            ["list"],
            ["sync", "-wait", "default"],
            ["sync", "-wait", "unused"],
            ["verify"],
            ["verify", "-json", "unused"],
            ["ltx", "unused"],
            ["ltx", webdav],
            ["restore", "-o", str(secretive.directory / "out"), "default"],
            ["restore", "-o", str(secretive.directory / "out2"), "unused"],
            ["register", "-replica", webdav, "other.db"],
        ):
            completed = secretive.run(*words, "--verbosity", "2")
            assert_none_in(completed.stdout, completed.stderr)
            assert "Traceback" not in completed.stderr
    assert_none_in(secretive.daemon_log())


def test_no_process_shows_one(secretive: Project) -> None:
    with secretive.replicating():
        verification = subprocess.Popen(
            secretive.command("litestream", "verify", "default"),
            cwd=secretive.directory,
            env=secretive.environment(),
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        while verification.poll() is None:
            for secret in SECRETS:
                assert not processes_with(secret)
        assert verification.returncode == 0


def test_no_file_that_others_can_read_holds_one(secretive: Project) -> None:
    with secretive.replicating():
        secretive.run("verify", "default")
        holding = [
            path
            for path in files_below(secretive.private_directory, secretive.directory)
            if IN_SETTINGS in path.read_text(errors="replace")
        ]
        settings = secretive.directory / "project_settings.py"
        written_by_us = set(holding) - {settings}
        assert written_by_us == {secretive.private_directory / "litestream.yml"}
        for path in written_by_us:
            assert path.stat().st_mode & 0o077 == 0
            assert path.parent.stat().st_mode & 0o077 == 0
    text = (secretive.private_directory / "litestream.yml").read_text()
    assert IN_ENVIRONMENT not in text


def files_below(*directories: Path) -> Iterator[Path]:
    for directory in directories:
        for parent, _, names in os.walk(directory):
            yield from (
                path for name in names if (path := Path(parent, name)).is_file()
            )


def test_a_loose_umask_changes_nothing(secretive: Project) -> None:
    old = os.umask(0)
    try:
        with secretive.replicating():
            file = secretive.private_directory / "litestream.yml"
            assert file.stat().st_mode & 0o777 == 0o600
            assert file.parent.stat().st_mode & 0o777 == 0o700
    finally:
        os.umask(old)
