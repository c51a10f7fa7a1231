"""``replicate -exec``: Litestream is the parent of the web server or the job."""

from __future__ import annotations

import socket
import sys
import urllib.error
import urllib.request

import pytest

from .project import PATIENCE, Project, processes_with, stop, wait_until


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def get(url: str) -> str:
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as response:
            text: str = response.read().decode()
            return text
    except urllib.error.URLError:
        return ""


def test_gunicorn_serves_and_stops_cleanly(project: Project) -> None:
    pytest.importorskip("gunicorn")
    (project.directory / "wsgi.py").write_text(
        "import os\n"
        "os.environ['DJANGO_SETTINGS_MODULE'] = 'project_settings'\n"
        "from django.core.wsgi import get_wsgi_application\n"
        "application = get_wsgi_application()\n"
    )
    port = free_port()
    server = f"{sys.executable} -m gunicorn --bind 127.0.0.1:{port} wsgi"
    with project.replicating("-exec", server) as daemon:
        url = f"http://127.0.0.1:{port}/"
        wait_until(lambda: get(url) == "served by Django")
        rows = project.insert()
        assert stop(daemon) == 0, project.daemon_log()
    assert get(url) == ""
    assert not processes_with(f"127.0.0.1:{port}")
    assert project.restored_rows() == rows


def test_a_job_that_is_over_in_no_time_is_replicated(project: Project) -> None:
    """Litestream alone ends with status 0 and without a backup here."""
    project.litestream["dbs"][0].pop("monitor-interval")
    project.write_settings()
    job = project.directory / "job.py"
    job.write_text(
        "import sqlite3\n"
        f"with sqlite3.connect({str(project.database)!r}, timeout=60) as connection:\n"
        "    connection.execute(\"INSERT INTO note (text) VALUES ('job')\")\n"
    )
    command = f"{sys.executable} {job}"
    for number in range(1, 6):
        completed = project.run("replicate", "-exec", command)
        assert completed.returncode == 0, completed.stdout
        assert project.restored_rows() == 10 + number
    project.litestream["exec"] = command
    project.write_settings()
    assert project.run("replicate").returncode == 0
    assert project.restored_rows() == 16


def test_what_exec_runs_may_say_error_and_go_on(project: Project) -> None:
    job = project.directory / "job.sh"
    job.write_text("echo Error: one >&2; echo two >&2; echo Error: three >&2\n")
    completed = project.complete(
        project.script(f"call_command('litestream', 'replicate', exec='sh {job}')")
    )
    assert completed.returncode == 0
    said = [line for line in completed.stderr.splitlines() if "level=" not in line]
    assert said == ["Error: one", "two", "Error: three"]


def test_what_exec_cannot_start_is_said(project: Project) -> None:
    completed = project.run("replicate", "-exec", "no-such-program")
    assert completed.returncode == 1
    assert "no-such-program cannot be executed: No such file" in completed.stderr


def test_what_exec_runs_has_the_bundle_that_litestream_may_not_have(
    project: Project,
) -> None:
    project.environ["AWS_CA_BUNDLE"] = "/etc/ssl/of-our-own.pem"
    job = "sh -c 'env | grep AWS_CA_BUNDLE'"
    completed = project.run("replicate", "-exec", job)
    assert completed.returncode == 0
    found = [line for line in completed.stdout.splitlines() if "AWS_CA_BUNDLE=" in line]
    assert found == ["AWS_CA_BUNDLE=/etc/ssl/of-our-own.pem"]
