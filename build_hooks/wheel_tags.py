"""The platform tag of a wheel, derived from the file it is to carry."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

from django_litestream.artifacts import Artifact
from django_litestream.errors import ArtifactError

from . import elf_tags, mach_o_tags, pe_tags

_FORMATS: dict[bytes, Callable[[bytes], list[str]]] = {
    elf_tags.MAGIC: elf_tags.linux_tags,
    mach_o_tags.MAGIC: mach_o_tags.macos_tags,
    pe_tags.MAGIC: pe_tags.windows_tags,
}


def derive(path: Path) -> str:
    """Return the tag that the file at ``path`` deserves, such as ``win_amd64``.

    Several that hold at once are joined by dots, as in a wheel's name. Raises
    ``ArtifactError`` where it is no executable or library that has a tag, and
    ``OSError`` where it cannot be read.
    """
    content = path.read_bytes()
    for magic, tags in _FORMATS.items():
        if content.startswith(magic):
            try:
                return ".".join(tags(content))
            except (IndexError, OverflowError, struct.error) as error:
                raise ArtifactError(f"{path} is cut short: {error}.") from error
            except ArtifactError as error:
                raise ArtifactError(f"{path} has no wheel tag. {error}") from error
    raise ArtifactError(f"{path} has no wheel tag. It is no executable or library.")


def check(artifact: Artifact, path: Path) -> None:
    """Raise ``ArtifactError`` unless ``path`` deserves the tag of the table's row."""
    derived = derive(path)
    if derived != artifact.wheel_tag:
        raise ArtifactError(
            f"artifacts.toml promises {artifact.wheel_tag} of {artifact}, and the file "
            f"itself says {derived}: correct the table's wheel_tag."
        )
