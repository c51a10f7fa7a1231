"""How Litestream is asked what a replica holds."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_litestream.vfs.listing import list_files

from .project import PATIENCE, Project, linux, processes_with, wait_until

_EXECUTABLE = """\
#!/bin/sh
printf '%s\\n' "$@" > "$0.words"
cat > "$0.input"
echo null
"""

CONFIGURED = ["-config", "/dev/stdin", "-no-expand-env", "/replica"]


@pytest.fixture
def asked(tmp_path: Path) -> Iterator[Path]:
    """An executable that keeps what it is asked."""
    path = tmp_path / "litestream"
    path.write_text(_EXECUTABLE)
    path.chmod(0o700)
    with override_settings(LITESTREAM={"bin_path": str(path)}):
        yield path


def words_for(asked: Path, url: str) -> list[str]:
    assert list_files(url, PATIENCE) == []
    words = asked.with_name("litestream.words").read_text().splitlines()
    assert words[:4] == ["ltx", "-json", "-level", "all"]
    return words[4:]


@pytest.mark.parametrize(
    ("url", "replica"),
    [
        ("sftp://me:$SECRET@host/path", {"url": "sftp://me:$SECRET@host/path"}),
        ("webdav://me:SECRET@host/path", {"url": "webdav://me:SECRET@host/path"}),
        (
            "nats://me:SECRET%40%2F@host:4222/bucket",
            {
                "url": "nats://host:4222/bucket",
                "username": "me",
                "password": "SECRET@/",
            },
        ),
    ],
)
def test_a_secret_is_in_no_word_of_the_command(
    asked: Path, url: str, replica: dict[str, Any]
) -> None:
    """As ``ps`` shows those to all users of the machine."""
    assert words_for(asked, url) == CONFIGURED
    given = json.loads(asked.with_name("litestream.input").read_text())
    assert given == {"dbs": [{"path": "/replica", "replica": replica}]}


@pytest.mark.parametrize("url", ["file:///srv/replica", "s3://bucket/path"])
def test_what_has_no_secret_is_named(asked: Path, url: str) -> None:
    assert words_for(asked, url) == [url]


@linux
def test_a_process_that_ends_leaves_no_listing_behind(project: Project) -> None:
    """Of a storage that takes connections and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        marker = f"of-process-{os.getpid()}"
        url = f"gs://bucket/{marker}"
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        lister = subprocess.Popen(
            project.script(
                "import threading",
                "from django_litestream.vfs.listing import list_files",
                f"arguments = ({url!r}, {PATIENCE})",
                "threading.Thread(target=list_files, args=arguments, daemon=True).start()",
                "sys.stdin.read()",
            ),
            cwd=project.directory,
            env={**project.environment(), "STORAGE_EMULATOR_HOST": address},
            stdin=subprocess.PIPE,
        )
        with lister:
            wait_until(lambda: listings(marker))
        wait_until(lambda: not listings(marker))


def listings(marker: str) -> list[str]:
    return [line for line in processes_with(marker) if " ltx -json " in line]
