"""The VFS in a process: loaded once, and harmless to others."""

from __future__ import annotations

import _sqlite3
import ctypes
import sqlite3
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.db import connections
from django.test import override_settings

from django_litestream.vfs import loading
from django_litestream.vfs.forks import forks

from .replica_app.models import Note
from .replica_world import (
    ReplicaWorld,
    count_notes,
    in_threads,
)
from .routing_project.site import replicated_site

THREADS = 8

REPLICA = "default_replica"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ReplicaWorld]:
    with replicated_site(tmp_path_factory.mktemp("loading")) as made:
        yield made


@dataclass(frozen=True)
class Race:
    """What came of threads that all wanted the VFS at once."""

    notes: set[int]
    times_loaded: int
    ordinary_connections: int
    failures: list[str]


def race_for_the_first_connection() -> Race:
    loads: list[Path] = []
    load = loading._load

    def noted_load(path: Path) -> None:
        loads.append(path)
        load(path)

    loading._load = noted_load
    is_over = threading.Event()
    barrier = threading.Barrier(THREADS)

    def open_ordinary_connections() -> tuple[int, list[str]]:
        opened, failures = 0, []
        while not is_over.is_set():
            try:
                ordinary = sqlite3.connect(":memory:")
                assert ordinary.execute("SELECT 1").fetchone() == (1,)
                ordinary.close()
                opened += 1
            except Exception as error:
                failures.append(repr(error))
        return opened, failures

    def read(number: int) -> int:
        barrier.wait()
        return count_notes(REPLICA)

    with ThreadPoolExecutor(4) as others:
        going_on = [others.submit(open_ordinary_connections) for _ in range(4)]
        try:
            notes = in_threads(THREADS, read)
            # And a while after.
            opened = in_threads(1, lambda number: sqlite3.connect(":memory:").close())
            assert opened == [None]
        finally:
            is_over.set()
        ends = [one.result() for one in going_on]
    return Race(
        notes=set(notes),
        times_loaded=len(loads),
        ordinary_connections=sum(opened for opened, _ in ends),
        failures=[failure for _, failures in ends for failure in failures],
    )


def test_any_thread_may_be_the_first_and_no_other_connection_fails(
    world: ReplicaWorld,
) -> None:
    with world.worker() as worker:
        race = worker.call(race_for_the_first_connection)
    assert race.failures == []
    assert len(race.notes) == 1
    assert race.times_loaded == 1
    assert race.ordinary_connections > 100


def sqlite_library() -> ctypes.CDLL:
    return ctypes.CDLL(getattr(_sqlite3, "__file__", None))


def load_beside_an_extension_of_somebody_else() -> tuple[int, int, list[str]]:
    """Return how often the other extension was called before and after."""
    called: list[int] = []
    kind = ctypes.CFUNCTYPE(ctypes.c_int, *[ctypes.c_void_p] * 3)

    def initialise(*arguments: object) -> int:
        called.append(1)
        return 0

    callback = kind(initialise)
    sqlite_library().sqlite3_auto_extension(callback)
    try:
        sqlite3.connect(":memory:").close()
        before = len(called)
        count_notes(REPLICA)
        called.clear()
        ordinary = sqlite3.connect(":memory:")
        functions = [
            name
            for (name,) in ordinary.execute("SELECT name FROM pragma_function_list")
            if name.startswith("litestream")
        ]
        ordinary.close()
        return before, len(called), functions
    finally:
        sqlite_library().sqlite3_cancel_auto_extension(callback)


def test_auto_extensions_of_others_are_left_alone(world: ReplicaWorld) -> None:
    """And nothing of Litestream's becomes one, see upstream's #1506."""
    with world.worker() as worker:
        assert worker.call(load_beside_an_extension_of_somebody_else) == (1, 1, [])


def read_without_extension_loading() -> tuple[int, list[str]]:
    asked: list[str] = []
    sys.addaudithook(
        lambda event, _: asked.append(event) if "extension" in event else 0
    )
    return count_notes(REPLICA), asked


def test_a_python_that_loads_no_extensions_will_do(world: ReplicaWorld) -> None:
    """As those of pyenv and macOS, which lack ``enable_load_extension``."""
    with world.worker() as worker:
        count, asked = worker.call(read_without_extension_loading)
    assert count >= 1
    assert asked == []


def use_other_connections() -> list[int]:
    """Write and read elsewhere, on connections from before and from after."""
    before = sqlite3.connect(":memory:", check_same_thread=False)
    count_notes(REPLICA)

    def use(number: int) -> int:
        Note.objects.using("default").create(source="default", written_at=0)
        after = sqlite3.connect(":memory:")
        rows = count_notes("default")
        for one in (before, after):
            one.execute("CREATE TABLE IF NOT EXISTS t (x)")
            one.execute("INSERT INTO t VALUES (1)")
            rows += one.execute("SELECT count(*) FROM t").fetchone()[0]
        after.close()
        return rows

    return [use(0), *in_threads(2, use)]


def test_other_connections_go_on_working(world: ReplicaWorld) -> None:
    with world.worker() as worker:
        assert min(worker.call(use_other_connections)) > 2
        assert not worker.call(uses_the_vfs, "default")
        assert worker.call(uses_the_vfs, REPLICA)


def uses_the_vfs(alias: str) -> bool:
    with connections[alias].cursor() as cursor:
        # SQLite knows the PRAGMA only where the VFS answers it.
        cursor.execute("PRAGMA litestream_txid")
        return cursor.fetchone() is not None


def is_loaded() -> bool:
    return forks.loaded


@pytest.mark.parametrize("is_eager", [True, False])
def test_it_may_be_loaded_with_the_project(tmp_path: Path, is_eager: bool) -> None:
    world = ReplicaWorld(tmp_path / "project", litestream={"vfs_eager": is_eager})
    with world.worker() as worker:
        assert worker.call(is_loaded) is is_eager


def fail_to_load(path: str) -> tuple[str, bool]:
    """Return what is said of a library, and whether something counts as loaded."""
    wrong = override_settings(LITESTREAM={"vfs_extension_path": path})
    with wrong, pytest.raises(ImproperlyConfigured) as refusal:
        count_notes(REPLICA)
    sqlite3.connect(":memory:").close()
    return str(refusal.value), forks.loaded


def test_a_wrong_library_is_named_and_the_right_one_found_later(
    world: ReplicaWorld,
) -> None:
    no_library = world.directory / "text.so"
    no_library.write_text("This is no library.")
    with world.worker() as worker:
        for path in (no_library, Path(_sqlite3.__file__)):
            message, loaded = worker.call(fail_to_load, str(path))
            assert message.startswith(
                f"{path} is not Litestream's VFS for this machine"
            )
            assert message.endswith(
                "Install django-litestream[vfs], or correct "
                "settings.LITESTREAM['vfs_extension_path']."
            )
            assert "\n" not in message
            assert not loaded
        message, loaded = worker.call(fail_to_load, "/nowhere.so")
        assert message == (
            "settings.LITESTREAM['vfs_extension_path'] is /nowhere.so, which is not a "
            "file that can be read: correct it or remove it."
        )
        assert not loaded
        assert worker.call(count_notes, REPLICA) >= 1
        assert worker.call(is_loaded)


def test_manage_py_says_it_in_one_line(tmp_path: Path) -> None:
    project = ReplicaWorld(
        tmp_path / "project",
        litestream={"vfs_eager": True, "vfs_extension_path": "/nowhere.so"},
    )
    completed = project.manage("check")
    assert completed.returncode == 1
    assert completed.stderr.splitlines()[-1].endswith("correct it or remove it.")


def test_no_file_is_left_behind(world: ReplicaWorld, tmp_path: Path) -> None:
    world.environ["TMPDIR"] = str(tmp_path)
    try:
        with world.worker() as worker:
            assert worker.call(count_notes, REPLICA) >= 1
    finally:
        del world.environ["TMPDIR"]
    assert list(tmp_path.iterdir()) == []
