"""``sync`` of a database whose file is not the one that the daemon has open."""

from __future__ import annotations

import shutil

import pytest

from django_litestream.control import Daemon
from django_litestream.errors import DaemonError
from django_litestream.sync import sync

from .project import PATIENCE, Project, linux


@linux
@pytest.mark.parametrize("wait", [False, True])
def test_a_file_that_was_put_in_its_place_is_not_synced(
    project: Project, wait: bool
) -> None:
    """Litestream says that all is well, as it looks at the WAL, which stays."""
    with project.replicating():
        project.insert(1)
        synced = sync(project.socket, project.database, wait=wait, timeout=PATIENCE)
        copy = project.directory / "copy.sqlite3"
        shutil.copy(project.database, copy)
        copy.replace(project.database)
        assert Daemon(project.socket).sync(project.database).txid >= synced.txid
        with pytest.raises(DaemonError, match="replicates a file that was at"):
            sync(project.socket, project.database, wait=wait, timeout=PATIENCE)
