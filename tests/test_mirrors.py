"""In a project's own tests a replica is its primary's mirror."""

from __future__ import annotations

from pathlib import Path

from django.db import connections

from django_litestream.db.backends.sqlite_vfs.base import DatabaseWrapper
from django_litestream.replicas import Replica

from .replica_world import ReplicaWorld

URL = "s3://bucket/path"


def test_an_alias_that_the_test_runner_made_a_mirror_is_no_replica() -> None:
    settings = {**connections["default"].settings_dict}
    settings.update(Replica(alias="a", url=URL).as_database())
    wrapper = DatabaseWrapper(settings, "a")
    assert wrapper.replica == Replica(alias="a", url=URL)
    wrapper.creation.set_as_test_mirror({"NAME": ":memory:"})
    assert wrapper.replica is None
    assert wrapper.get_connection_params()["database"] == ":memory:"


_TESTS_OF_THE_PROJECT = """\
from django.db import connections, transaction
from django.test import TransactionTestCase

from django_litestream import health
from django_litestream.vfs.forks import forks
from tests.project import wait_until
from tests.replica_app.models import Note


class Tests(TransactionTestCase):
    databases = {"default", "default_replica"}

    def test_the_replica_shows_what_the_primary_has(self):
        Note.objects.create(source="test", written_at=0)
        self.assertEqual(Note.objects.using("default_replica").count(), 1)
        with transaction.atomic("default_replica"):
            self.assertEqual(Note.objects.using("default_replica").count(), 1)
        name = connections["default_replica"].settings_dict["NAME"]
        self.assertIn("mode=memory", name)

    def test_the_router_reads_the_primary_and_loads_nothing(self):
        self.assertEqual(Note.objects.all().db, "default")
        watcher = health.watcher()
        wait_until(lambda: watcher._looked_at)
        self.assertEqual(Note.objects.all().db, "default")
        self.assertFalse(forks.loaded)
"""


def test_the_test_runner_reads_the_primary_in_place_of_a_replica(
    tmp_path: Path,
) -> None:
    """Where the replica is, is nothing: it would fail if it were opened."""
    world = ReplicaWorld(tmp_path / "project")
    world.more_settings = (
        'DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]'
    )
    world.write_settings()
    (world.directory / "test_it.py").write_text(_TESTS_OF_THE_PROJECT)
    completed = world.manage("test")
    assert completed.returncode == 0, completed.stderr
    assert "Ran 2 tests" in completed.stderr


_TESTS_IN_FORKS = """\
from django.db import transaction
from django.test import TransactionTestCase

from tests.replica_app.models import Note


class First(TransactionTestCase):
    databases = {"default", "default_replica"}

    def test_the_replica_shows_what_the_primary_has(self):
        Note.objects.create(source="test", written_at=0)
        with transaction.atomic("default_replica"):
            self.assertEqual(Note.objects.using("default_replica").count(), 1)


class Second(First):
    pass
"""


def test_the_test_runner_may_fork_though_the_vfs_is_loaded(tmp_path: Path) -> None:
    """No replica is read, so there is nothing that a fork could freeze."""
    world = ReplicaWorld(tmp_path / "project", litestream={"vfs_eager": True})
    (world.directory / "test_it.py").write_text(_TESTS_IN_FORKS)
    completed = world.manage("test", "--parallel", "2")
    assert completed.returncode == 0, completed.stderr
    assert "Ran 2 tests" in completed.stderr
