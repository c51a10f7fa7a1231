"""The workflows against the table of artifacts, the justfile and each other."""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

import pytest
import yaml
from cibuildwheel.__main__ import main as cibuildwheel
from cibuildwheel.options import CommandLineArguments, compute_options
from cibuildwheel.typing import PlatformName

from django_litestream.artifacts import ARTIFACTS, Artifact

REPOSITORY = Path(__file__).resolve().parents[1]
WORKFLOWS = sorted(REPOSITORY.glob(".github/workflows/*.yml"))
ACTIONS = sorted(REPOSITORY.glob(".github/actions/*/action.yml"))

# cibuildwheel cannot build for this one: a job of its own does.
WITHOUT_CIBUILDWHEEL = "linux_armv6l"


Identifiers = Callable[[str, str, str], list[str]]


@dataclass(frozen=True, kw_only=True)
class Platform:
    """One platform tag of a row, such as ``musllinux_1_1_x86_64``."""

    row: Artifact
    tag: str

    @property
    def system(self) -> PlatformName:
        """The value of cibuildwheel's ``--platform``."""
        if self.tag.startswith("macosx"):
            return "macos"
        return "windows" if self.tag.startswith("win") else "linux"

    @property
    def arch(self) -> str:
        found = re.fullmatch(r"[a-z]+(?:\d+|_\d+_\d+)?_(\w+)", self.tag)
        assert found is not None
        return found[1]

    @property
    def identifier(self) -> str:
        """What cibuildwheel calls it: the tag without the version of the system."""
        system = re.match("[a-z]+", self.tag)
        assert system is not None
        return f"cp312-{system[0]}_{self.arch}"

    def __str__(self) -> str:
        return f"{self.row.distribution}-{self.tag}"


PLATFORMS = [
    Platform(row=row, tag=tag)
    for row in ARTIFACTS
    for tag in row.wheel_tag.split(".")
    if tag != WITHOUT_CIBUILDWHEEL
]


def test_the_table_has_one_platform_that_cibuildwheel_has_not() -> None:
    tags = [row.wheel_tag for row in ARTIFACTS]
    assert tags.count(WITHOUT_CIBUILDWHEEL) == 1
    assert all(tag == WITHOUT_CIBUILDWHEEL or "armv6" not in tag for tag in tags)


@pytest.fixture
def identifiers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Identifiers:
    """``cibuildwheel --print-build-identifiers``, without a process for each."""

    def ask(distribution: str, system: str, archs: str) -> list[str]:
        words = ["--print-build-identifiers", "--platform", system, "--archs", archs]
        monkeypatch.setattr(sys, "argv", ["cibuildwheel", *words, distribution])
        monkeypatch.chdir(REPOSITORY)
        with pytest.raises(SystemExit) as ended:
            cibuildwheel()
        assert not ended.value.code
        return capsys.readouterr().out.split()

    return ask


@pytest.mark.parametrize(
    "row",
    [row for row in ARTIFACTS if row.wheel_tag != WITHOUT_CIBUILDWHEEL],
    ids=lambda row: f"{row.distribution}-{row.platform}",
)
def test_cibuildwheel_agrees_with_the_row(
    row: Artifact, identifiers: Identifiers
) -> None:
    of_the_row = [platform for platform in PLATFORMS if platform.row == row]
    assert sorted(platform.identifier for platform in of_the_row) == sorted(
        identifiers(row.distribution, of_the_row[0].system, of_the_row[0].arch)
    )


@pytest.mark.parametrize(
    "distribution", sorted({row.distribution for row in ARTIFACTS})
)
@pytest.mark.parametrize("system", ["linux", "macos", "windows"])
def test_cibuildwheel_builds_for_no_other_platform(
    distribution: str, system: str, identifiers: Identifiers
) -> None:
    assert sorted(identifiers(distribution, system, "all")) == sorted(
        platform.identifier
        for platform in PLATFORMS
        if platform.row.distribution == distribution and platform.system == system
    )


@pytest.mark.parametrize("platform", PLATFORMS, ids=str)
def test_cibuildwheel_tests_the_wheel_and_leaves_it_as_it_is(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(REPOSITORY)
    arguments = CommandLineArguments.defaults()
    arguments.package_dir = REPOSITORY / platform.row.distribution
    arguments.only = platform.identifier
    options = compute_options(
        platform=platform.system, command_line_arguments=arguments, env={}
    ).build_options(platform.identifier)
    assert not options.repair_command
    assert options.test_command is not None
    assert "/tests/wheel_check.py" in options.test_command
    has_vfs = platform.row.distribution == "litestream-vfs-bin"
    assert options.test_command.endswith("--vfs") == has_vfs
    if platform.tag.startswith("manylinux") and platform.arch != "armv7l":
        # Where the tag promises that it works, and not on anything newer.
        assert options.manylinux_images is not None
        assert f"/{platform.tag}@" in options.manylinux_images[platform.arch]


def load(path: Path) -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return loaded


def workflow(name: str) -> dict[str, Any]:
    return load(REPOSITORY / ".github" / "workflows" / f"{name}.yml")


def test_the_workflow_builds_the_wheel_of_each_platform() -> None:
    jobs = workflow("wheels")["jobs"]
    assert jobs["dist"]["needs"] == ["wheel", "armv6"]
    rows = jobs["wheel"]["strategy"]["matrix"]["include"]
    assert sorted((row["distribution"], row["platform"]) for row in rows) == sorted(
        (platform.row.distribution, platform.identifier) for platform in PLATFORMS
    )
    # armv7 alone is emulated: GitHub has no machine of it.
    machines = {row["platform"].partition("-")[2]: row["os"] for row in rows}
    assert {
        platform: re.split(r"-[\d.]+", machine, maxsplit=1)
        for platform, machine in machines.items()
        if "aarch64" in platform or "arm64" in platform
    } == {
        "manylinux_aarch64": ["ubuntu", "-arm"],
        "musllinux_aarch64": ["ubuntu", "-arm"],
        "macosx_arm64": ["macos", ""],
        "win_arm64": ["windows", "-arm"],
    }
    assert machines["macosx_x86_64"].endswith("-intel")


def jobs_of_tests() -> Iterator[dict[str, str]]:
    matrix = workflow("ci")["jobs"]["test"]["strategy"]["matrix"]
    excluded = matrix.pop("exclude")
    for values in product(*matrix.values()):
        job = dict(zip(matrix, values, strict=True))
        if not any(one.items() <= job.items() for one in excluded):
            yield job


def test_each_system_sees_every_python_and_every_django() -> None:
    project = tomllib.loads(
        Path(REPOSITORY, "django-litestream", "pyproject.toml").read_text("utf-8")
    )["project"]

    def versions(classifier: str) -> set[str]:
        pattern = re.compile(rf"{classifier} :: (\d+\.\d+)")
        found = map(pattern.fullmatch, project["classifiers"])
        return {match[1] for match in found if match}

    jobs = list(jobs_of_tests())
    for system in ("ubuntu", "macos", "windows"):
        on_it = [job for job in jobs if job["os"].startswith(system)]
        pythons, djangos = (
            {job[name] for job in on_it} for name in ("python", "django")
        )
        assert pythons == versions("Programming Language :: Python")
        assert djangos == versions("Framework :: Django")


def steps() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in WORKFLOWS:
        for job in load(path)["jobs"].values():
            for step in job.get("steps", [job]):
                yield path.name, step
    for path in ACTIONS:
        for step in load(path)["runs"]["steps"]:
            yield path.parent.name, step


def test_each_action_is_pinned_by_its_commit() -> None:
    used = [
        line.partition("uses: ")[2]
        for path in (*WORKFLOWS, *ACTIONS)
        for line in path.read_text("utf-8").splitlines()
        if "uses: " in line
    ]
    assert len(used) == sum("uses" in step for _, step in steps())
    ours = {action for action in used if action.startswith("$/")}
    for action in ours:
        assert Path(REPOSITORY, action.removeprefix("$/")).exists(), action
    for action in set(used) - ours:
        assert re.fullmatch(r"[\w/-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action
    # One version of each, everywhere.
    names = [action.partition("@")[0] for action in set(used)]
    assert len(names) == len(set(names))


def recipes() -> Iterable[str]:
    justfile = Path(REPOSITORY, "justfile").read_text("utf-8")
    return re.findall(r"^([a-z][\w-]*)(?: [^:=]*)?:(?!=)", justfile, re.MULTILINE)


def test_each_recipe_that_is_called_is_in_the_justfile() -> None:
    called = {
        recipe
        for _, step in steps()
        for recipe in re.findall(r"(?<![\w-])just ([a-z][\w-]*)", step.get("run", ""))
    }
    assert {"lint", "test", "test-with", "wheel"} <= called
    assert called <= set(recipes())
