"""An upgrade to a fix of the packaging alone, and an uninstallation, by pip and by uv."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import subprocess
import sys
import venv
from collections.abc import Callable
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path

import pytest
from uv import find_uv_bin

from django_litestream.artifacts import (
    LITESTREAM_VERSION,
    Fingerprint,
    current_platform,
    find_artifact,
)

pytestmark = pytest.mark.skipif(
    os.name == "nt", reason="holds a file open while it is replaced"
)

REPOSITORY = Path(__file__).resolve().parents[1]
ROW = find_artifact("litestream-bin", current_platform())
FIXED = f"{LITESTREAM_VERSION}.post1"

Tool = Callable[..., None]


def run(*words: str | Path, cwd: Path, **more: str) -> str:
    """Return what the command prints; it must end with status 0."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE_", "PIP_", "UV_", "VIRTUAL_ENV"))
    }
    done = subprocess.run(
        words,
        cwd=cwd,
        env={**inherited, "PIP_CONFIG_FILE": os.devnull, **more},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


@dataclass(frozen=True, kw_only=True)
class Wheels:
    """A directory with the wheels of both versions, and what their files are."""

    directory: Path
    first: Fingerprint
    fixed: Fingerprint


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Wheels:
    """Both, built by the hook in a copy of the repository."""
    copy, into = tmp_path_factory.mktemp("copy"), tmp_path_factory.mktemp("wheels")
    for part in ("build_hooks", "litestream-bin", "django-litestream/src"):
        ignored = shutil.ignore_patterns(ROW.file, "__pycache__")
        shutil.copytree(REPOSITORY / part, copy / part, ignore=ignored)
    file = copy / "artifacts" / ROW.file
    file.parent.mkdir()
    table = copy / "django-litestream/src/django_litestream/artifacts.toml"
    as_it_is = table.read_text("utf-8")
    content = Path(str(files("litestream_bin").joinpath(ROW.file))).read_bytes()

    def build(post: int, content: bytes) -> Fingerprint:
        file.write_bytes(content)
        built = Fingerprint.of(file)
        rows, found = re.subn("(?m)^post = .*", f"post = {post}", as_it_is)
        assert found == 1
        rows = rows.replace(f"size = {ROW.expected.size}", f"size = {built.size}")
        table.write_text(rows.replace(ROW.expected.sha256, built.sha256), "utf-8")
        run(
            *(sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", into),
            cwd=copy / "litestream-bin",
            LITESTREAM_ARTIFACTS=str(file.parent),
            XDG_CACHE_HOME=str(copy / "cache"),
        )
        return built

    # Nothing reads what comes after the end of an executable.
    wheels = Wheels(
        directory=into,
        first=build(0, content),
        fixed=build(1, content + b"\0"),
    )
    versions = {wheel.name.split("-")[1] for wheel in into.iterdir()}
    assert versions == {LITESTREAM_VERSION, FIXED}
    return wheels


def tools(wheels: Wheels, environment: Path) -> dict[str, Tool]:
    """What runs pip and uv on the environment, with those wheels alone."""
    offline = ["--no-index", "--find-links", str(wheels.directory)]
    python = environment / "bin" / "python"
    scratch = environment.parent

    def use_pip(subcommand: str, *words: str) -> None:
        options = ["--yes"] if subcommand == "uninstall" else offline
        command = (sys.executable, "-m", "pip", "--python", python, subcommand)
        run(*command, *options, *words, cwd=scratch)

    def use_uv(subcommand: str, *words: str) -> None:
        options = [] if subcommand == "uninstall" else offline
        command = (find_uv_bin(), "pip", subcommand, "--no-config", "--python", python)
        run(*command, *options, *words, cwd=scratch, UV_CACHE_DIR=str(scratch / "uv"))

    return {"pip": use_pip, "uv": use_uv}


def contents(environment: Path) -> set[str]:
    found = {str(path.relative_to(environment)) for path in environment.rglob("*")}
    # uv's own, which stays for as long as the environment does.
    return found - {".lock"}


def test_an_upgrade_replaces_the_file_and_nothing_is_left(
    wheels: Wheels, tmp_path: Path
) -> None:
    """One test, not one for each tool: in two processes both would build the wheels."""
    environment = tmp_path / "venv"
    venv.create(environment)
    before = contents(environment)
    for name, tool in tools(wheels, environment).items():
        upgrade(tool, wheels, environment)
        tool("uninstall", "litestream-bin")
        assert contents(environment) == before, name


def upgrade(tool: Tool, wheels: Wheels, environment: Path) -> None:
    """Install the first version and then the fixed one."""
    tool("install", f"litestream-bin=={LITESTREAM_VERSION}")
    (file,) = environment.rglob(f"litestream_bin/{ROW.file}")
    assert Fingerprint.of(file) == wheels.first
    script = environment / "bin" / "litestream"
    assert run(script, "version", cwd=environment) == LITESTREAM_VERSION

    # As the extra `bin` of django-litestream asks, while a daemon runs the old file.
    with file.open("rb") as running:
        tool("install", "--upgrade", f"litestream-bin=={LITESTREAM_VERSION}.*")
        still = hashlib.file_digest(running, "sha256").hexdigest()
    assert still == wheels.first.sha256
    assert Fingerprint.of(file) == wheels.fixed
    assert os.access(file, os.X_OK)
    (about,) = environment.rglob("litestream_bin-*.dist-info")
    assert about.name == f"litestream_bin-{FIXED}.dist-info"
