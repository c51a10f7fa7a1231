"""A TXID that Litestream 0.5.17 gives a second time.

A snapshot is of the newest TXID that the daemon has cut, uploaded or not. What loses
Litestream's directory before the upload has the next daemon go on from the newest file
of level 0, and give a TXID again that a snapshot ends with already. A restore begins
with that snapshot and passes over what the file of this TXID holds.
"""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

from .project import Project, wait_until

CHANGED = "changed since"


def newest(level: Path) -> Path:
    return max(level.glob("*.ltx"))


def lose_a_machine_before_its_upload(project: Project) -> None:
    """Leave a snapshot of a TXID of which level 0 has no file, and nothing local."""
    levels = project.replica / "ltx"
    # A compaction would hold all of the second file, and hide what is lost.
    project.litestream["levels"] = [{"interval": "24h"}]
    project.write_settings()
    project.insert(500)
    with project.replicating():
        wait_until(lambda: (levels / "1").exists())
    project.insert(500)
    once = project.run("replicate", "-once", "-force-snapshot")
    assert once.returncode == 0, once.stderr
    last = newest(levels / "0")
    assert newest(levels / "9").stem.endswith(last.stem[-16:])
    last.unlink()
    shutil.rmtree(project.database.with_name(f".{project.database.name}-litestream"))


def change(project: Project) -> None:
    """Change a page that nothing changes again."""
    with closing(sqlite3.connect(project.database)) as connection, connection:
        connection.execute("UPDATE note SET text = ? WHERE number = 300", (CHANGED,))


def restored_changes(project: Project) -> int:
    assert project.restored_rows()
    restored = project.directory / "restored.sqlite3"
    with closing(sqlite3.connect(restored)) as connection:
        counted = "SELECT count(*) FROM note WHERE text = ?"
        count: int = connection.execute(counted, (CHANGED,)).fetchone()[0]
        return count


def test_verify_tells_and_a_snapshot_mends_it(project: Project) -> None:
    lose_a_machine_before_its_upload(project)
    change(project)
    with project.replicating():
        verified = project.run("verify")
    assert verified.returncode == 1, verified.stdout
    assert "-once -force-snapshot" in verified.stdout
    assert restored_changes(project) == 0
    once = project.run("replicate", "-once", "-force-snapshot")
    assert once.returncode == 0, once.stderr
    assert restored_changes(project) == 1
    with project.replicating():
        assert project.run("verify").returncode == 0
