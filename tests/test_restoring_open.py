"""A database that somebody has open is not replaced."""

from __future__ import annotations

import signal

import pytest

from .project import PATIENCE, Project, count_rows, linux, wait_until
from .restored import (
    beside,
    is_locked,
    is_replicated,
    lose,
    restore,
)

pytestmark = linux


def test_a_database_that_a_daemon_has_open_is_not_replaced(project: Project) -> None:
    linked = project.directory / "link"
    linked.symlink_to(project.directory)
    through_link = linked / project.database.name
    before = project.database.stat().st_ino
    with project.replicating():
        for target, words in (
            (project.database, ("default",)),
            (through_link, ("-o", str(through_link), project.replica.as_uri())),
        ):
            refused = project.run("restore", "-force", *words)
            assert refused.returncode == 1
            assert refused.stderr == is_replicated(project, target)
        assert project.database.stat().st_ino == before
        kept = project.run("restore", "-if-db-not-exists", "default")
        assert kept.returncode == 0, kept.stderr
        assert project.run(*restore(project)).returncode == 0

        for ending in ("", "-wal", "-shm"):
            beside(project.database, ending).unlink(missing_ok=True)
        refused = project.run("restore", "default")
        assert refused.returncode == 1
        assert refused.stderr == is_replicated(project, project.database)
        assert not project.database.exists()
    assert project.run("restore", "default").returncode == 0
    assert count_rows(project.database) == 10


def test_a_daemon_that_has_not_found_the_database_takes_what_is_restored(
    project: Project,
) -> None:
    lose(project)
    beside(project.database, "-wal").unlink()
    with project.replicating():
        restored = project.run("restore", "default")
        assert restored.returncode == 0, restored.stderr
        wait_until(lambda: project.run("verify").returncode == 0)


def test_a_database_that_the_daemon_has_let_go_of_is_replaced(project: Project) -> None:
    with project.replicating():
        assert project.run("stop", "default").returncode == 0
        restored = project.run("restore", "-force", "default")
        assert restored.returncode == 0, restored.stderr
        assert count_rows(project.database) == 10


def test_a_daemon_that_hangs_is_not_waited_for(project: Project) -> None:
    with project.replicating() as daemon:
        wait_until(lambda: project.run("verify").returncode == 0)
        daemon.send_signal(signal.SIGSTOP)
        refused = project.run("restore", "-force", "default")
        assert (refused.returncode, refused.stderr) == (1, is_locked(project))
        daemon.kill()
        daemon.wait(PATIENCE)
        restored = project.run("restore", "-force", "default")
        assert restored.returncode == 0, restored.stderr


@pytest.mark.parametrize("has_meta_path", [False, True])
def test_a_daemon_whose_socket_is_not_known_is_seen(
    project: Project, has_meta_path: bool
) -> None:
    metadata = None
    if has_meta_path:
        metadata = project.directory / "metadata"
        project.litestream["dbs"][0]["meta-path"] = str(metadata)
        project.write_settings()
    with project.replicating():
        sockets = {"enabled": False}, {"path": str(project.directory / "elsewhere")}
        for project.litestream["socket"] in sockets:
            project.write_settings()
            for words in (
                ("-force", "default"),
                ("-force", "-o", project.database, "default"),
            ):
                refused = project.run("restore", *map(str, words))
                assert refused.returncode == 1
                assert refused.stderr == is_locked(project, metadata)
            kept = project.run("restore", "-if-db-not-exists", "default")
            assert kept.returncode == 0, kept.stderr
            copied = project.run("restore", "-force", *restore(project)[1:])
            assert copied.returncode == 0, copied.stderr
    assert project.run("restore", "-force", "default").returncode == 0


@pytest.mark.parametrize("is_lost", [False, True])
def test_a_connection_of_this_thread_goes_on_with_what_is_restored(
    project: Project, is_lost: bool
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    project.databases["other"] = Project.sqlite(project.directory / "other.sqlite3")
    project.write_settings()
    ended = project.complete(
        project.script(
            "from pathlib import Path",
            "from django.db import connections",
            "default, other = connections['default'], connections['other']",
            "default.cursor().execute('SELECT count(*) FROM note')",
            "other.cursor().execute('CREATE TEMPORARY TABLE kept (number)')",
            f"for file in Path().glob('db.sqlite3*') if {is_lost} else ():",
            "    file.unlink()",
            f"call_command('litestream', 'restore', 'default', force={not is_lost})",
            "default.cursor().execute(\"INSERT INTO note (text) VALUES ('new')\")",
            "other.cursor().execute('SELECT * FROM kept')",
        )
    )
    assert ended.returncode == 0, ended.stderr
    assert count_rows(project.database) == 11
