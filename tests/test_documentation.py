"""Each block of code in the documentation is run, or says why it is not."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from django_litestream import binaries

from .documented_site import DocumentedSite
from .documents import BLOCKS, REPOSITORY, Block
from .project import wait_until

RUN_HERE = [block for block in BLOCKS if not block.reason and not block.run_by]
SETTINGS = [block for block in RUN_HERE if block.is_settings]
PYTHON = [
    block for block in RUN_HERE if block.language == "python" and not block.is_settings
]
SHELL = [block for block in RUN_HERE if block.language == "sh"]
FILES = {
    language: [block for block in RUN_HERE if block.language == language]
    for language in ("dockerfile", "ini", "toml", "yaml")
}
posix = pytest.mark.skipif(os.name == "nt", reason="has no VFS and no sh")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DocumentedSite]:
    made = DocumentedSite(tmp_path_factory.mktemp("documentation") / "mysite")
    migrated = made.manage("migrate", "--run-syncdb", "--verbosity", "0")
    assert migrated.returncode == 0, migrated.stderr
    yield made
    made.remove_private_files()


def each(blocks: list[Block]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("block", blocks, ids=str)


@each(list(BLOCKS))
def test_a_block_is_run_or_says_why_not(block: Block) -> None:
    if block.run_by:
        test = REPOSITORY / block.run_by
        assert Path(block.page).name in test.read_text(), f"{test} has not this page"
        return
    assert bool(block.mark) == bool(block.reason or block.left_out), block.mark
    run = (*SETTINGS, *PYTHON, *SHELL, *(one for of in FILES.values() for one in of))
    assert block.reason or block in run, (
        f"Nothing runs a block in {block.language or 'no language'}. Put a line "
        "`<!-- not run: REASON -->` before it if nothing can."
    )


def test_a_reason_names_only_tests_that_there_are() -> None:
    named = {name for b in BLOCKS for name in re.findall(r"tests/\w+\.py", b.reason)}
    assert named
    assert not [name for name in named if not (REPOSITORY / name).exists()]


@posix
def test_settings_are_those_of_a_project(site: DocumentedSite) -> None:
    wrong = site.failures([site.loading(block) for block in SETTINGS])
    assert not wrong, "\n".join(wrong)


@posix
def test_commands_and_code_do_what_they_are_to(site: DocumentedSite) -> None:
    jobs = [job for block in SHELL for job in site.commands(block)]
    jobs += [site.python(block) for block in PYTHON]
    with site.replicating():
        wait_until(lambda: site.run("vfs-status").returncode == 0)
        wrong = site.failures(jobs)
    assert not wrong, "\n".join(wrong)


@each(FILES["yaml"])
def test_yaml_is_what_its_program_reads(block: Block, tmp_path: Path) -> None:
    parsed = yaml.safe_load(block.text)
    match block.text.splitlines()[0]:
        case "# /etc/litestream.yml":
            configuration = tmp_path / "litestream.yml"
            configuration.write_text(block.text)
            subprocess.run(
                [binaries.find_executable(), "databases", "-config", configuration],
                check=True,
                timeout=60,
            )
        case "# compose.yaml":
            volumes = [
                volume.partition(":")[0]
                for service in parsed["services"].values()
                for volume in service["volumes"]
            ]
            assert sorted(parsed["volumes"]) == sorted(set(volumes))
        case "# config/deploy.yml":
            assert parsed["accessories"]["litestream"]["volumes"] == parsed["volumes"]
        case other:
            pytest.fail(f"nothing is known of {other}")


@each(FILES["toml"])
def test_toml_can_be_read(block: Block) -> None:
    assert tomllib.loads(block.text)


@each(FILES["ini"])
def test_a_unit_of_systemd_has_its_sections(block: Block) -> None:
    unit = configparser.ConfigParser(interpolation=None)
    unit.optionxform = str  # type: ignore[assignment,method-assign]
    unit.read_string(block.text)
    path = Path(block.text.splitlines()[0].removeprefix("# "))
    kind = path.suffix.removeprefix(".").title()
    assert {"Unit", kind} <= set(unit.sections()) <= {"Unit", kind, "Install"}


@each(FILES["dockerfile"])
def test_a_dockerfile_has_instructions_only(block: Block) -> None:
    lines = [line.partition(" ") for line in block.text.splitlines()]
    assert lines[0][0] == "FROM"
    for instruction, _, argument in lines:
        assert instruction in {"FROM", "WORKDIR", "COPY", "RUN", "CMD", "ENTRYPOINT"}
        if instruction in {"CMD", "ENTRYPOINT"}:
            assert all(isinstance(word, str) for word in json.loads(argument))
