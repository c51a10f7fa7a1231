"""Nothing under a file's name but the file, whatever disk, users and machine do."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from django_litestream import locking
from django_litestream.errors import ArtifactError, DownloadError
from django_litestream.locking import exclusive

from .downloads import (
    CONTENT,
    GOOD,
    assert_in_place,
    assert_nothing_left,
    command,
    fetch,
)
from .project import PATIENCE, wait_until
from .release_server import Answer, ReleaseServer, serving

pytestmark = pytest.mark.usefixtures("no_network_settings")
posix = pytest.mark.skipif(os.name == "nt", reason="POSIX's limits and signals")


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with serving() as started:
        started.says(Answer(body=GOOD))
        yield started


@contextmanager
def mounted(directory: Path, options: str) -> Iterator[None]:
    """Have a file system of its own in ``directory``; skip where none may be made."""
    directory.mkdir(exist_ok=True)
    words = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(directory)]
    if sys.platform != "linux" or subprocess.run(words, capture_output=True).returncode:
        pytest.skip("only root may mount a small disk")
    try:
        yield
    finally:
        subprocess.run(["umount", str(directory)], check=True)


@contextmanager
def downloading(
    server: ReleaseServer, destination: Path, *prefix: str, forks: int = 0
) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(
        [*prefix, *command(server.url, destination, forks=forks)],
        stdin=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.parametrize("size", [100, 300], ids=["of the archive", "of the file"])
def test_a_disk_that_is_full_in_the_middle(
    server: ReleaseServer, destination: Path, size: int
) -> None:
    with mounted(destination.parent.parent, f"size={size}k"):
        with pytest.raises(ArtifactError) as caught:
            fetch(server.url, destination)
        assert str(caught.value) == (
            f"{destination} cannot be written: No space left on device. Make "
            "room, or name another directory with -dest."
        )
        assert_nothing_left(destination)


@posix
def test_a_limit_for_the_size_of_files(
    server: ReleaseServer, destination: Path
) -> None:
    # Where the tests are measured, what is measured would not fit in either.
    unmeasured = "unset COVERAGE_PROCESS_CONFIG COVERAGE_PROCESS_START"
    limited = ("sh", "-c", f'{unmeasured}; ulimit -f 60; exec "$@"', "sh")
    with downloading(server, destination, *limited) as process:
        _, errors = process.communicate(timeout=PATIENCE)
    assert errors == (
        f"ArtifactError: {destination} cannot be written: File too large. Raise "
        "the limit for the size of files, or name another directory with -dest.\n"
    )
    assert_nothing_left(destination)


@posix
def test_a_directory_that_may_not_be_written_to(
    server: ReleaseServer, destination: Path
) -> None:
    with ExitStack() as stack:
        if os.geteuid() == 0:
            stack.enter_context(mounted(destination.parent, "ro"))
        else:
            destination.parent.mkdir(mode=0o500)
        with pytest.raises(ArtifactError) as caught:
            fetch(server.url, destination)
        message = str(caught.value)
        assert message.startswith(f"{destination} cannot be written: ")
        assert message.endswith(" another directory with -dest.")
        assert_nothing_left(destination)
    assert server.asked == []


@pytest.mark.parametrize("in_the_way", ["the directory", "the file"])
def test_a_directory_and_a_file_that_are_each_the_other(
    server: ReleaseServer, tmp_path: Path, in_the_way: str
) -> None:
    destination = tmp_path / "here" / "litestream"
    if in_the_way == "the directory":
        destination.parent.touch()
    else:
        destination.mkdir(parents=True)
    with pytest.raises(ArtifactError, match="cannot be written: ") as caught:
        fetch(server.url, destination)
    assert f"{destination.parent}" in str(caught.value)
    assert ".partial" not in str(caught.value)


def test_a_link_in_the_way_is_not_followed(
    server: ReleaseServer, destination: Path, tmp_path: Path
) -> None:
    """In a directory such as /tmp another user may have put it there."""
    precious = tmp_path / "precious"
    precious.mkdir()
    (precious / "file").touch()
    destination.parent.mkdir()
    (destination.parent / ".litestream.partial").symlink_to(precious)
    with pytest.raises(ArtifactError, match="cannot be written"):
        fetch(server.url, destination)
    assert [path.name for path in precious.iterdir()] == ["file"]
    assert not destination.exists()


@pytest.mark.parametrize(
    "answer",
    [
        Answer(body=GOOD[:100_000], length=len(GOOD), stalls=True),
        Answer(drips="header"),
    ],
    ids=["in the body", "before it"],
)
def test_a_process_that_is_killed(
    server: ReleaseServer, destination: Path, answer: Answer
) -> None:
    server.says(answer, Answer(body=GOOD))
    partial = destination.parent / ".litestream.partial"
    with downloading(server, destination) as process:
        assert process.stdin is not None
        process.stdin.close()
        wait_until(lambda: server.asked and partial.exists())
        process.kill()
        process.wait()
    assert not destination.exists()
    assert [path for path in destination.parent.iterdir() if path.name[0] != "."] == []
    fetch(server.url, destination)
    assert_in_place(destination)


def test_twenty_processes_at_once(server: ReleaseServer, destination: Path) -> None:
    started, forks = (1, 19) if hasattr(os, "fork") else (4, 0)
    with ExitStack() as stack:
        processes = [
            stack.enter_context(downloading(server, destination, forks=forks))
            for _ in range(started)
        ]
        for process in processes:
            assert process.communicate(timeout=PATIENCE)[1] == ""
    assert [process.returncode for process in processes] == [0] * started
    assert len(server.asked) == 1
    assert_in_place(destination)


def test_what_was_written_is_on_the_disk_before_it_has_its_name(
    server: ReleaseServer, destination: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[tuple[str, int]] = []

    def noted(name: str, function: Callable[..., None]) -> Callable[..., None]:
        def call(what: int | Path, *others: Path) -> None:
            events.append((name, os.stat(what).st_ino))
            function(what, *others)

        return call

    monkeypatch.setattr(os, "fsync", noted("fsync", os.fsync))
    monkeypatch.setattr(os, "replace", noted("replace", os.replace))
    fetch(server.url, destination)
    inode = destination.stat().st_ino
    assert events == [("fsync", inode), ("replace", inode)]


def test_the_lock_is_one_processs_at_a_time(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    inside, most, done = 0, 0, 0

    def work() -> None:
        nonlocal inside, most, done
        for _ in range(30):
            with exclusive(lock, patience=PATIENCE):
                inside += 1
                most = max(most, inside)
                (tmp_path / "work").write_bytes(CONTENT)
                inside -= 1
                done += 1

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert (most, done) == (1, 180)
    assert not lock.exists()


@posix
def test_the_lock_of_a_file_that_its_holder_removed_is_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    lock, really = tmp_path / "lock", locking._lock

    def late(handle: int) -> bool:
        """Lock the file after another process has ended its work with it."""
        monkeypatch.setattr(locking, "_lock", really)
        lock.unlink()
        return really(handle)

    monkeypatch.setattr(locking, "_lock", late)
    with (
        exclusive(lock, patience=PATIENCE),
        pytest.raises(DownloadError),
        exclusive(lock, patience=0.2),
    ):
        pass


def test_the_lock_is_not_waited_for_for_ever(tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    with (
        exclusive(lock, patience=0),
        pytest.raises(DownloadError) as caught,
        exclusive(lock, patience=0.3),
    ):
        pass
    assert str(caught.value).startswith(f"{lock} has been locked by another process")
