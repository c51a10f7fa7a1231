"""From the shell: wrong settings end a command with a line, and leave no file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ..project import Project

WRONG: dict[str, Any] = {
    "text": "x",
    "a flag that is text": {"vfs_eager": "yes"},
    "keys of two types": {"dbs": [{1: 2, "a": 3}]},
    "replicas of no list": {"dbs": [{"path": "default", "replicas": "s3://bucket"}]},
}


def files_in(directory: Path) -> set[Path]:
    return {path for path in directory.rglob("*") if "__pycache__" not in path.parts}


@pytest.mark.parametrize("name", WRONG)
@pytest.mark.parametrize(
    "words", [["check"], ["litestream", "replicate"]], ids=" ".join
)
def test_wrong_settings(project: Project, name: str, words: list[str]) -> None:
    private_directory = project.private_directory
    project.litestream = WRONG[name]
    project.write_settings()
    before = files_in(project.directory)
    ended = project.manage(*words)
    assert ended.returncode
    assert "Traceback" not in ended.stderr
    if words[0] == "litestream":
        assert len(ended.stderr.splitlines()) == 1
        assert ended.stdout == ""
    assert files_in(project.directory) == before
    assert not private_directory.exists()
