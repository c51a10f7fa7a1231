"""Django's own commands, its test runner and its admin beside and on a replica."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from django.db import router
from django.test import Client

from .project import PATIENCE, linux, stop, wait_until
from .replica_app.models import Note
from .replica_world import ReplicaWorld, count_notes, replica_world, wait_for_notes

REPLICA = "default_replica"
NOTES = 200

_ADMIN = """\
INSTALLED_APPS += [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.messages", "django.contrib.sessions",
]
MIDDLEWARE = [
    "django_litestream.middleware.LitestreamMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
ROOT_URLCONF = "admin_urls"
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]
"""

_URLS = """\
from django.contrib import admin
from django.urls import path

urlpatterns = [path("admin/", admin.site.urls)]
"""

_TESTS = """\
from django.db import connections
from django.test import TestCase, TransactionTestCase
from tests.replica_app.models import Note


class Writes:
    def test_what_is_written_is_read(self):
        Note.objects.create(source="default", written_at=0)
        self.assertEqual(Note.objects.get().source, "default")

    def test_nothing_is_left_of_it(self):
        self.assertFalse(Note.objects.exists())


class Reads:
    databases = {"default", "default_replica"}

    def test_a_replica_is_as_empty_as_its_primary(self):
        self.assertFalse(Note.objects.using("default_replica").exists())
        name = connections["default_replica"].settings_dict["NAME"]
        self.assertEqual(name, connections["default"].settings_dict["NAME"])


class WritesInTransaction(Writes, TestCase):
    pass


class WritesWithoutTransaction(Writes, TransactionTestCase):
    pass


class ReadsInTransaction(Reads, TestCase):
    pass


class ReadsWithoutTransaction(Reads, TransactionTestCase):
    def test_a_replica_has_what_the_primary_has(self):
        note = Note.objects.create(source="default", written_at=0)
        self.assertEqual(Note.objects.using("default_replica").get(), note)
"""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    """A site with an admin, replicated."""
    directory = tmp_path_factory.mktemp("commands")
    with replica_world(directory / "project") as made:
        made.more_settings = _ADMIN
        made.write_settings()
        (made.directory / "admin_urls.py").write_text(_URLS)
        (made.directory / "test_reads.py").write_text(_TESTS)
        made.migrate()
        made.write_note(count=NOTES)
        with made.replicating(), made.worker() as worker:
            worker.call(wait_for_notes, REPLICA, NOTES)
            yield made


@pytest.mark.parametrize("flags", [(), ("--parallel", "2")])
def test_the_test_runner_has_replicas_mirror_their_primaries(
    world: ReplicaWorld, flags: tuple[str, ...]
) -> None:
    tested = world.manage("test", "test_reads", *flags)

    assert tested.returncode == 0, tested.stderr
    assert "Ran 7 tests" in tested.stderr


@pytest.mark.parametrize("words", [(), ("--database", "default")])
def test_migrate_leaves_replicas_alone(
    world: ReplicaWorld, words: tuple[str, ...]
) -> None:
    migrated = world.manage("migrate", *words)

    assert migrated.returncode == 0, migrated.stderr
    assert "No migrations to apply." in migrated.stdout


def test_migrate_of_a_replica_says_what_to_migrate(world: ReplicaWorld) -> None:
    migrated = world.manage("migrate", "--database", REPLICA)

    assert migrated.returncode == 1
    assert migrated.stderr == (
        f"CommandError: '{REPLICA}' is a read replica: migrate 'default'.\n"
    )


@pytest.mark.parametrize(
    "words", [(), ("--database", REPLICA), ("--database", "default")]
)
def test_check_finds_nothing(world: ReplicaWorld, words: tuple[str, ...]) -> None:
    checked = world.manage("check", *words)

    assert (checked.returncode, checked.stderr) == (0, "")
    assert "no issues" in checked.stdout


def test_inspectdb_of_a_replica_has_its_models(world: ReplicaWorld) -> None:
    of_replica = world.manage("inspectdb", "--database", REPLICA)
    of_primary = world.manage("inspectdb")

    assert of_replica.returncode == 0, of_replica.stderr
    assert "class ReplicaAppNote(models.Model):" in of_replica.stdout
    assert of_replica.stdout == of_primary.stdout


def test_dumpdata_of_a_replica_prints_json_and_nothing_else(
    world: ReplicaWorld,
) -> None:
    world.wait_until_replicated()
    of_replica = world.manage("dumpdata", "replica_app", "--database", REPLICA)
    of_primary = world.manage("dumpdata", "replica_app")

    assert of_replica.returncode == 0, of_replica.stderr
    assert len(json.loads(of_replica.stdout)) >= NOTES
    assert of_replica.stdout == of_primary.stdout


@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_the_log_of_the_vfs_stays_out_of_what_is_dumped(
    world: ReplicaWorld, tmp_path: Path, unbuffered: str
) -> None:
    # Litestream complains at every poll of a file that the replica lacks.
    for _ in range(2):
        world.write_note()
        world.wait_until_replicated()
    files = sorted(world.replica_of("default").glob("ltx/0/*"))
    folder = tmp_path / "replica" / "ltx" / "0"
    folder.mkdir(parents=True)
    shutil.copy(files[0], folder)
    lacking = replace(
        world,
        directory=tmp_path / "project",
        environ={"PYTHONUNBUFFERED": unbuffered},
    )
    lacking.vfs[REPLICA] = {
        "url": (tmp_path / "replica").as_uri(),
        "poll_interval": "10ms",
    }
    lacking.write_settings()
    dumped = subprocess.run(
        lacking.script(
            "import shutil, time",
            "from django.db import connections",
            f"connections['{REPLICA}'].ensure_connection()",
            f"shutil.copy({str(files[-1])!r}, {str(folder)!r})",
            "time.sleep(0.3)",
            f"call_command('dumpdata', 'replica_app', database='{REPLICA}')",
        ),
        cwd=lacking.directory,
        env=lacking.environment(),
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )

    assert "ltx gap detected" in dumped.stderr
    assert len(json.loads(dumped.stdout)) == NOTES


def test_loaddata_into_a_replica_says_where_to_write(
    world: ReplicaWorld, tmp_path: Path
) -> None:
    fields = {"source": "file", "written_at": 0}
    note = {"model": "replica_app.note", "pk": 1, "fields": fields}
    (tmp_path / "notes.json").write_text(json.dumps([note]))

    failed = world.manage(
        "loaddata", str(tmp_path / "notes.json"), "--database", REPLICA
    )

    assert failed.returncode == 1
    assert failed.stderr.endswith(
        f"Could not load replica_app.Note(pk=1): '{REPLICA}' is a read replica of "
        "'default' and cannot be written to: write to 'default'.\n"
    )


def test_a_replica_cannot_be_flushed(world: ReplicaWorld) -> None:
    failed = world.manage("flush", "--no-input", "--database", REPLICA)

    assert failed.returncode == 1
    assert failed.stderr.startswith(f"CommandError: Database file:{REPLICA}.db?")
    assert "couldn't be flushed" in failed.stderr
    assert "Traceback" not in failed.stderr


def use_admin(password: str) -> tuple[int, str, int, str]:
    """Log in, look at the notes, add one and look again."""
    wait_until(lambda: router.db_for_read(Note) == REPLICA)
    client = Client()
    login = client.post("/admin/login/", {"username": "admin", "password": password})
    before = client.get("/admin/replica_app/note/")
    added = client.post(
        "/admin/replica_app/note/add/", {"source": "admin", "written_at": 0}
    )
    after = client.get("/admin/replica_app/note/")
    return (
        login.status_code,
        before.content.decode(),
        added.status_code,
        after.content.decode(),
    )


def test_the_admin_beside_a_replica(world: ReplicaWorld) -> None:
    password = "Secret4711"
    environ = {"DJANGO_SUPERUSER_PASSWORD": password}
    created = replace(world, environ=environ).manage(
        "createsuperuser", "--no-input", "--username", "admin", "--email", ""
    )
    assert created.returncode == 0, created.stderr
    world.wait_until_replicated()
    with world.worker() as worker:
        notes = worker.call(count_notes, "default")
        login, before, added, after = worker.call(use_admin, password)

    assert (login, added) == (302, 302)
    assert f"{notes} notes" in before
    assert f"{notes + 1} notes" in after
    assert "was added successfully" in after


needs_shell = pytest.mark.skipif(
    shutil.which("sqlite3") is None, reason="there is no sqlite3 shell"
)


@needs_shell
def test_the_shell_reads_a_replica(world: ReplicaWorld) -> None:
    shown = world.manage(
        "dbshell", "--database", REPLICA, "--", "SELECT min(id) FROM replica_app_note"
    )

    assert (shown.stderr, shown.stdout) == ("", "1\n")


def shell_of(directory: Path, script: str) -> str:
    """Put a ``sqlite3`` in a directory; return a ``PATH`` where it comes first."""
    directory.mkdir()
    shell = directory / "sqlite3"
    shell.write_text(f"#!/bin/sh\n{script}\n")
    shell.chmod(0o755)
    return os.pathsep.join((str(directory), os.environ["PATH"]))


def test_a_shell_that_cannot_load_extensions_is_told_of(
    world: ReplicaWorld, tmp_path: Path
) -> None:
    complaint = (
        """unknown command or invalid arguments: "load". Enter ".help" for help"""
    )
    path = shell_of(tmp_path / "bin", f"echo 'Error: {complaint}' >&2; exit 1")
    shown = replace(world, environ={"PATH": path}).manage(
        "dbshell", "--database", REPLICA
    )

    assert shown.returncode == 1
    assert shown.stderr == (
        f"CommandError: The sqlite3 shell cannot load Litestream's VFS: Error: {complaint}. "
        "Use one that was built with extension loading.\n"
    )


def test_the_shell_is_given_a_secret_in_no_command_line(
    world: ReplicaWorld, tmp_path: Path
) -> None:
    # What stands in for the shell shows what others see of it, and what it is to read.
    path = shell_of(
        tmp_path / "bin",
        """test "$1" = -batch && exit; echo "$0 $*"; test "$1" = -init && cat "$2"; """
        """ls -ld "${2%/*}" """,
    )
    secret = replace(world, directory=tmp_path / "project", environ={"PATH": path})
    secret.vfs[REPLICA] = "webdav://user:Secret4711@127.0.0.1/notes"
    secret.write_settings()
    shown = secret.manage("dbshell", "--database", REPLICA)
    command, *rest = shown.stdout.splitlines()

    assert (shown.returncode, shown.stderr) == (0, "")
    assert "Secret4711" not in command
    assert "Secret4711" in "".join(rest)
    assert rest[-1].startswith("drwx------")


@needs_shell
@linux
def test_a_running_shell_shows_no_url(world: ReplicaWorld) -> None:
    shell = subprocess.Popen(
        world.command("dbshell", "--database", REPLICA),
        cwd=world.directory,
        env=world.environment(),
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        wait_until(lambda: running_shells(shell))
        assert not any(
            world.vfs[REPLICA]["url"] in line for line in running_shells(shell)
        )
        shown, _ = shell.communicate(
            b"SELECT min(id) FROM replica_app_note;", timeout=PATIENCE
        )
        assert (shown, shell.returncode) == (b"1\n", 0)
    finally:
        stop(shell)


def running_shells(parent: subprocess.Popen[bytes]) -> list[str]:
    """Return the command line of what a ``dbshell`` runs that opens a replica."""
    children = (
        Path(f"/proc/{parent.pid}/task/{parent.pid}/children").read_text().split()
    )
    lines = [Path(f"/proc/{child}/cmdline").read_text() for child in children]
    return [line for line in lines if "-init" in line]
