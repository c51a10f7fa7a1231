"""Checks the wheels of a directory before they are given to anybody."""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from django_litestream.artifacts import Artifact, Fingerprint
from django_litestream.errors import ArtifactError, LitestreamError

from . import wheel_contents, wheel_tags
from .all_wheels import APP, build, build_app
from .platform_wheel import REPOSITORY


def problems(directory: Path) -> Iterator[str]:
    """Yield, a line each, what is wrong with what the directory holds."""
    files = sorted(directory.iterdir()) if directory.is_dir() else []
    if not files:
        yield f"{directory} holds nothing: `just build` fills it."
        return
    rows = {}
    for file in files:
        if artifact := wheel_contents.artifact_of(file):
            rows[file] = artifact
            yield from (
                f"{file.name}: {problem}" for problem in _of_wheel(file, artifact)
            )
        elif not file.name.startswith(APP.replace("-", "_")):
            yield f"{file.name}: the table of artifacts has no such wheel"
    yield from _of_tool(["twine", "check", "--strict", *map(str, files)])
    wheels = [str(file) for file in files if file.suffix == ".whl"]
    # To that one a `.so` is a Python module, whose name W004 would have be one too.
    yield from _of_tool(["check_wheel_contents", "--ignore", "W004", *wheels])
    yield from _differences(files, rows)


def _of_wheel(file: Path, artifact: Artifact) -> Iterator[str]:
    try:
        yield from wheel_contents.problems(file, artifact)
        with tempfile.TemporaryDirectory() as scratch, zipfile.ZipFile(file) as wheel:
            name = f"{wheel_contents.package(artifact)}/{artifact.file}"
            wheel_tags.check(artifact, Path(wheel.extract(name, scratch)))
    except (KeyError, zipfile.BadZipFile, ArtifactError) as error:
        yield str(error)


def _of_tool(words: list[str]) -> Iterator[str]:
    completed = subprocess.run(
        [sys.executable, "-m", *words], capture_output=True, text=True, check=False
    )
    if completed.returncode:
        yield f"{words[0]}: {' '.join((completed.stdout + completed.stderr).split())}"


def _differences(files: list[Path], rows: dict[Path, Artifact]) -> Iterator[str]:
    """Build everything once more and compare."""
    with tempfile.TemporaryDirectory() as scratch:
        again = Path(scratch)
        for artifact in rows.values():
            build(artifact, again)
        if len(rows) < len(files):
            build_app(again)
        for file in files:
            second = again / file.name
            if not second.is_file():
                yield f"{file.name}: a second build does not make it"
            elif Fingerprint.of(second) != Fingerprint.of(file):
                yield f"{file.name}: a second build differs"


def main(arguments: Sequence[str] | None = None) -> int:
    """Check the directory that the command line names; return the exit status."""
    parser = argparse.ArgumentParser(
        prog="python -m build_hooks.check_wheels", description=__doc__
    )
    parser.add_argument("directory", type=Path, nargs="?", default=REPOSITORY / "dist")
    directory = parser.parse_args(arguments).directory
    try:
        found = list(problems(directory))
    except LitestreamError as error:
        found = [str(error)]
    for problem in found:
        print(problem, file=sys.stderr)
    if not found:
        print(f"{len(list(directory.iterdir()))} distributions are as they must be.")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
