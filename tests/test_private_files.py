"""The file that holds the configuration, and the directory it is kept in."""

from __future__ import annotations

import os
import pwd
import signal
import tempfile
from pathlib import Path

import pytest

from django_litestream import private_files
from django_litestream.errors import PrivateFileError


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "of this user" / "of a project"


def modes(*paths: Path) -> list[int]:
    return [path.stat().st_mode & 0o777 for path in paths]


def test_a_configuration_that_stays_takes_the_place_of_the_one_before(
    directory: Path,
) -> None:
    private_files.write_configuration(directory, "dbs: []\n")
    written = private_files.write_configuration(directory, "dbs: [é]\n")
    assert written.read_text(encoding="utf-8") == "dbs: [é]\n"
    assert list(directory.iterdir()) == [written]
    assert modes(written, directory, directory.parent) == [0o600, 0o700, 0o700]


def test_a_temporary_one_goes_away_whatever_happens(directory: Path) -> None:
    with pytest.raises(KeyboardInterrupt):
        interrupted(directory)
    assert list(directory.iterdir()) == []


def interrupted(directory: Path) -> None:
    with private_files.temporary_configuration(directory, "text") as written:
        assert modes(written) == [0o600]
        raise KeyboardInterrupt


def test_what_cannot_be_written_leaves_nothing(directory: Path) -> None:
    with pytest.raises(UnicodeEncodeError):
        private_files.write_configuration(directory, "\udcff")
    assert list(directory.iterdir()) == []


def test_a_file_in_the_way_is_an_error_that_names_the_place(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PrivateFileError, match=r"cannot be written to .*file/project"):
        private_files.write_configuration(tmp_path / "file" / "project", "text")


def test_others_lose_the_access_they_had(directory: Path) -> None:
    directory.mkdir(parents=True)
    directory.chmod(0o777)
    private_files.write_configuration(directory, "text")
    assert modes(directory) == [0o700]


def test_the_place_depends_on_no_variable() -> None:
    database = Path("/srv/project/db.sqlite3")
    before = private_files.directory(database)
    os.environ.update(HOME="/elsewhere", XDG_CACHE_HOME="/elsewhere", TMPDIR="/else")
    assert private_files.directory(database) == before
    assert private_files.directory(Path("/srv/other/db.sqlite3")) != before


@pytest.mark.parametrize("home", ["/nonexistent", "/" + "very/long/" * 12])
def test_a_home_that_will_not_do(home: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """No such user can be made for a test, so the user database is changed."""
    entry = pwd.getpwuid(os.geteuid())
    changed = pwd.struct_passwd((*entry[:5], home, entry[6]))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: changed)
    monkeypatch.setattr(os, "access", lambda path, mode: home != "/nonexistent")
    place = private_files.directory(Path("/srv/project/db.sqlite3"))
    assert place.parent == Path(f"/tmp/django-litestream-{os.geteuid()}")
    assert len(os.fsencode(private_files.socket_path(place))) <= 103


def test_a_user_without_an_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a container that is run with an arbitrary user."""

    def unknown(uid: int) -> None:
        raise KeyError(uid)

    monkeypatch.setattr(pwd, "getpwuid", unknown)
    assert private_files.cache_directory() == Path(
        f"/tmp/django-litestream-{os.geteuid()}"
    )


def test_a_signal_between_making_a_directory_and_using_it_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", os.fspath(tmp_path))
    make = os.mkdir

    def make_then_be_ended(path: str, mode: int = 0o777) -> None:
        make(path, mode)
        raise SystemExit(128 + signal.SIGTERM)

    monkeypatch.setattr(os, "mkdir", make_then_be_ended)
    with pytest.raises(SystemExit), private_files.temporary_directory("test"):
        pass
    assert list(tmp_path.iterdir()) == []
