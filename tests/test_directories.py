"""Litestream's ``dir`` form: databases that no entry names by itself."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_litestream import config
from django_litestream.binaries import find_executable
from django_litestream.databases import Database
from django_litestream.directories import Directory

from .project import Project, count_rows, linux
from .test_restarted_wal import CHANGED, kept_open, once, texts


@pytest.fixture
def tenants(project: Project) -> Path:
    """A directory with a database per tenant, one of them in a directory below."""
    directory = project.directory / "tenants"
    (directory / "north").mkdir(parents=True)
    shutil.copy(project.database, directory / "a.db")
    shutil.copy(project.database, directory / "north" / "b.db")
    (directory / "notes.db").write_text("no database")
    project.litestream["dbs"] = [
        {
            **project.entry("", project.replica),
            "dir": str(directory),
            "pattern": "*.db",
            "recursive": True,
        }
    ]
    project.write_settings()
    return directory


@pytest.fixture(autouse=True)
def _remove_private_files(project: Project, tenants: Path) -> Iterator[None]:
    yield
    with override_settings(LITESTREAM=project.litestream):
        shutil.rmtree(config.build({}).private_directory, ignore_errors=True)


def test_each_file_can_be_verified_and_restored(
    project: Project, tenants: Path
) -> None:
    assert project.run("replicate", "-once").returncode == 0
    for path in (tenants / "a.db", tenants / "north" / "b.db"):
        for file in (path, *path.parent.glob(f"{path.name}-*")):
            file.unlink()
        listed = project.run("ltx", str(path))
        assert "0000000000000001" in listed.stdout
        completed = project.run("restore", str(path))
        assert completed.returncode == 0, completed.stderr
        assert count_rows(path) == 10


def test_verify_finds_them_all(project: Project, tenants: Path) -> None:
    project.litestream["socket"] = {"path": str(project.directory / "s")}
    project.write_settings()
    with project.replicating():
        completed = project.run("verify")
    assert completed.returncode == 0, completed.stderr
    assert [line for line in completed.stdout.splitlines() if "good" in line] == [
        f"{path}: good: the newest commit can be restored (TXID 0000000000000002), "
        "and every page is the same"
        for path in (tenants / "a.db", tenants / "north" / "b.db")
    ]


def test_a_file_beside_the_directory_is_not_configured(
    project: Project, tenants: Path
) -> None:
    completed = project.run("verify", str(project.database))
    assert completed.returncode == 2
    assert f"is not in settings.LITESTREAM['dbs'], which has {tenants}" in (
        completed.stderr
    )


@pytest.mark.parametrize(
    ("replica", "below"),
    [
        (
            {"type": "s3", "bucket": "b", "path": "all/"},
            {"type": "s3", "bucket": "b", "path": "all/north/b c.db"},
        ),
        (
            {"url": "s3://b/all?endpoint=http://127.0.0.1:9"},
            {"url": "s3://b/all/north/b%20c.db?endpoint=http://127.0.0.1:9"},
        ),
    ],
)
def test_a_file_has_its_place_below_the_replica(
    tenants: Path, replica: dict[str, Any], below: dict[str, Any]
) -> None:
    path = tenants / "north" / "b c.db"
    settings = {"dbs": [{"dir": tenants, "pattern": "*.db", "replica": replica}]}
    with override_settings(LITESTREAM=settings):
        configuration = config.build({}).naming(Database(path=path))
    assert configuration.mapping["dbs"][0] == {"path": str(path), "replica": below}


@pytest.mark.parametrize("flags", [(), ("-json",)])
@pytest.mark.parametrize(
    ("what", "because"),
    [
        ("missing", "cannot be read (No such file or directory)"),
        ("empty", "There is no SQLite database in"),
    ],
)
def test_verify_that_finds_no_database_is_no_good_news(
    project: Project, tenants: Path, what: str, because: str, flags: tuple[str, ...]
) -> None:
    tenants.rename(tenants.with_name("elsewhere"))
    if what == "empty":
        tenants.mkdir()
    completed = project.run("verify", *flags)
    assert completed.returncode == 2, completed.stdout
    assert completed.stdout == ("[]\n" if flags else "")
    (line,) = completed.stderr.splitlines()
    assert because in line
    assert str(tenants) in line
    assert "correct the 'dir'" in line


def test_verify_tells_of_a_directory_beside_a_good_backup(
    project: Project, tenants: Path
) -> None:
    project.litestream["dbs"].append(
        project.entry("default", project.directory / "other")
    )
    project.litestream["socket"] = {"path": str(project.directory / "s")}
    project.write_settings()
    with project.replicating():
        assert project.run("verify").returncode == 0
        tenants.rename(tenants.with_name("elsewhere"))
        completed = project.run("verify")
        assert project.run("verify", "default").returncode == 0
    assert completed.returncode == 2
    assert completed.stdout.startswith("default: good")
    assert f"{tenants} cannot be read" in completed.stderr


@pytest.mark.parametrize("unreadable", ["", "north", "north/b.db"])
def test_verify_tells_of_what_its_user_may_not_read(
    project: Project, tenants: Path, unreadable: str
) -> None:
    """A job of cron's may run as another user than the daemon."""
    if os.geteuid() == 0 and not shutil.which("capsh"):
        pytest.skip("root may read everything, and there is no capsh to prevent it")
    project.litestream["socket"] = {"path": str(project.directory / "s")}
    project.write_settings()
    place = tenants / unreadable
    for path in (tenants, *tenants.rglob("*")):
        if os.geteuid() == 0:
            os.chown(path, 12345, 12345)
    command = project.command("litestream", "verify")
    if os.geteuid() == 0:
        drop = "--drop=cap_dac_override,cap_dac_read_search"
        command = ["capsh", drop, "--", "-c", shlex.join(command)]
    mode = place.stat().st_mode
    place.chmod(0)
    try:
        completed = subprocess.run(
            command, cwd=project.directory, capture_output=True, text=True, check=False
        )
    finally:
        place.chmod(mode)
    assert completed.returncode == 2, completed.stderr
    assert f"{place} cannot be read" in completed.stderr
    assert completed.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*.db", ["a.db", ".db", "a\nb.db"], ["a.db-shm", "adb", "A.DB"]),
        ("[^a-c]?.db", ["dx.db", "^x.db"], ["ax.db", "cx.db", "d.db"]),
        (r"a\*[\]!].db", ["a*].db", "a*!.db"], ["ab].db"]),
        ("a].db", ["a].db"], ["a.db"]),
    ],
)
def test_a_pattern_is_read_as_litestream_reads_it(
    project: Project,
    tmp_path: Path,
    pattern: str,
    matching: list[str],
    others: list[str],
) -> None:
    place, replica = tmp_path / "place", tmp_path / "replica"
    place.mkdir()
    for name in (*matching, *others):
        shutil.copy(project.database, place / name)
    directory = Directory(path=place, pattern=pattern, recursive=False)
    assert sorted(path.name for path in directory.files()) == sorted(matching)
    entry = {"dir": str(place), "pattern": pattern, "replica": {"path": str(replica)}}
    configuration = tmp_path / "litestream.yml"
    configuration.write_text(json.dumps({"dbs": [entry]}))
    subprocess.run(
        [find_executable(), "replicate", "-once", "-config", configuration], check=True
    )
    assert sorted(path.name for path in replica.iterdir()) == sorted(matching)


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory in the home of this user's account."""
    pwd = pytest.importorskip("pwd")
    account = Path(pwd.getpwuid(os.getuid()).pw_dir)
    if not os.access(account, os.W_OK):
        pytest.skip("this user has no home")
    made = Path(tempfile.mkdtemp(dir=account, prefix=".django-litestream-tests-"))
    yield made
    shutil.rmtree(made)


@pytest.mark.parametrize("in_home", [False, True])
@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("meta-dir", ["a.db-litestream", "north/b.db-litestream"]),
        ("meta-path", [".a.db-litestream", "north/.b.db-litestream"]),
    ],
)
def test_where_litestream_keeps_what_it_knows(
    project: Project,
    tenants: Path,
    home: Path,
    key: str,
    expected: list[str],
    in_home: bool,
) -> None:
    root = (home if in_home else project.directory) / "metadata"
    (entry,) = project.litestream["dbs"]
    entry[key] = f"~/{home.name}/metadata" if in_home else str(root)
    configuration = project.directory / "litestream.yml"
    configuration.write_text(json.dumps({"dbs": [{**entry, "path": None}]}))
    subprocess.run(
        [find_executable(), "replicate", "-once", "-config", configuration],
        env={**os.environ, "HOME": "/nowhere"},
        check=True,
    )
    made = sorted(path.parent for path in root.rglob("ltx"))
    assert made == [root / place for place in expected]
    with override_settings(LITESTREAM=project.litestream):
        assert sorted(config.build({}).metadata().values()) == made


def test_where_litestream_keeps_what_it_knows_of_a_file(
    project: Project, tenants: Path, home: Path
) -> None:
    entry = {**project.entry(str(project.database), project.replica)}
    entry["meta-path"] = f"~/{home.name}/metadata"
    project.litestream["dbs"] = [entry]
    project.write_settings()
    assert project.run("replicate", "-once").returncode == 0
    assert (home / "metadata" / "ltx").is_dir()
    with override_settings(LITESTREAM=project.litestream):
        assert config.build({}).metadata() == {project.database: home / "metadata"}


@pytest.mark.parametrize("key", ["meta-dir", "meta-path"])
def test_what_changes_meanwhile_is_restored_wherever_the_metadata_is(
    project: Project, tenants: Path, key: str
) -> None:
    project.litestream["dbs"][0][key] = str(project.directory / "metadata")
    project.write_settings()
    database = tenants / "north" / "b.db"
    with kept_open(database) as connection:
        once(project, connection)
        there = texts(database)
    copy = project.directory / "copy.db"
    assert project.run("restore", "-o", str(copy), str(database)).returncode == 0
    assert (5, CHANGED) in texts(copy)
    assert texts(copy) == there


def test_reset_finds_what_is_kept_elsewhere(project: Project, tenants: Path) -> None:
    metadata = project.directory / "metadata"
    project.litestream["dbs"][0]["meta-dir"] = str(metadata)
    project.write_settings()
    assert project.run("replicate", "-once").returncode == 0
    kept = metadata / "north" / "b.db-litestream" / "ltx"
    assert any(kept.rglob("*.ltx"))
    completed = project.run("reset", str(tenants / "north" / "b.db"))
    assert completed.returncode == 0, completed.stderr
    assert not any(kept.rglob("*.ltx"))
    assert any((metadata / "a.db-litestream").rglob("*.ltx"))


def test_two_patterns_in_one_directory_have_each_its_replica(tmp_path: Path) -> None:
    one, two = (
        {"dir": tmp_path, "pattern": pattern, "replica": {"path": pattern[2:]}}
        for pattern in ("*.one", "*.two")
    )
    path = tmp_path / "a.two"
    with override_settings(LITESTREAM={"dbs": [one, two]}):
        named = config.build({}).naming(Database(path=path)).mapping["dbs"][0]
    assert named == {"path": str(path), "replica": {"path": "two/a.two"}}


def test_a_database_that_two_directories_have_is_not_replicated(
    project: Project, tenants: Path
) -> None:
    replica = {"path": str(project.directory / "north")}
    north = {"dir": str(tenants / "north"), "pattern": "*.db", "replica": replica}
    project.litestream["dbs"].append(north)
    project.write_settings()
    refused = project.run("replicate", "-once")
    assert refused.returncode == 1
    assert "north/b.db is found by two entries" in refused.stderr
    assert not any(project.replica.rglob("*.ltx"))
    north["pattern"] = "*.sqlite3"
    shutil.copy(project.database, tenants / "north" / "c.sqlite3")
    project.write_settings()
    assert project.run("replicate", "-once").returncode == 0


@linux
def test_the_daemon_of_a_directory_keeps_its_locks(
    project: Project, tenants: Path
) -> None:
    """It does not where the pattern is one of those that are refused."""
    project.litestream["socket"] = {"path": str(project.directory / "s")}
    project.write_settings()
    # From then on the directory with the lock is there.
    assert project.run("replicate", "-once").returncode == 0
    with project.replicating():
        lock = tenants / ".a.db-litestream" / "replicate.lock"
        assert f":{lock.stat().st_ino} " in Path("/proc/locks").read_text()
