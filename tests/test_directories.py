"""Litestream's ``dir`` form: databases that no entry names by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from django_litestream import config
from django_litestream.databases import Database

from .project import Project, count_rows


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
    settings = {"dbs": [{"dir": tenants, "pattern": "*", "replica": replica}]}
    with override_settings(LITESTREAM=settings):
        configuration = config.build({}).naming(Database(path=path))
    assert configuration.mapping["dbs"][0] == {"path": str(path), "replica": below}
