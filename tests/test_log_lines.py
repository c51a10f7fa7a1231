"""JSON for programs, whatever Litestream logs beside it."""

from __future__ import annotations

import json
import subprocess
from typing import Any

import pytest

from django_litestream.log_lines import is_of_log
from django_litestream.vfs.listing import read_listing

from .project import Project

WARNINGS = {
    "text": 'time=2026-01-01T00:00:00.000Z level=WARN msg="sftp host key not verified"',
    "json": '{"time":"2026-01-01T00:00:00.000000001Z","level":"WARN","msg":"not verified"}',
}
FILE = {
    "level": 0,
    "min_txid": "0000000000000001",
    "max_txid": "0000000000000001",
    "size": 566,
    "timestamp": "2026-01-01T00:00:00Z",
}


@pytest.fixture(params=["text", "json"])
def logging(request: pytest.FixtureRequest, project: Project) -> str:
    """Have Litestream log in one of its forms, and as much as it can."""
    project.run("replicate", "-once")
    project.litestream["logging"] = {"type": request.param, "level": "debug"}
    project.write_settings()
    return str(request.param)


def restore(project: Project, *flags: str) -> subprocess.CompletedProcess[str]:
    copy = str(project.directory / "copy.sqlite3")
    restored = project.run("restore", *flags, "-o", copy, "default")
    assert restored.returncode == 0, restored.stderr
    return restored


def test_what_litestream_logs_is_not_in_its_json(
    project: Project, logging: str
) -> None:
    restored = restore(project, "-json")
    answer: dict[str, Any] = json.loads(restored.stdout)
    assert answer["txid"] == "0000000000000001"
    logged = restored.stderr.splitlines()
    assert logged
    assert all(is_of_log(line) for line in logged)


def test_the_log_stays_where_it_is_beside_text(project: Project, logging: str) -> None:
    restored = restore(project)
    assert restored.stderr == ""
    assert is_of_log(restored.stdout)


@pytest.mark.parametrize("warning", WARNINGS.values(), ids=WARNINGS)
def test_a_listing_is_read_between_the_lines_of_the_log(warning: str) -> None:
    listed = json.dumps([FILE], indent=2)
    [file] = read_listing(f"{warning}\n{listed}\n{warning}\n")
    assert file.max_txid == 1
    assert read_listing(f"{warning}\n") == []
