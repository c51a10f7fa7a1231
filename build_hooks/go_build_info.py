"""What the Go toolchain writes into each executable about how it was built.

The format is that of Go 1.18 and later, in Go's ``debug/buildinfo``: a header of 32
bytes, then two strings of which each has its length before it as a varint.
"""

from __future__ import annotations

from django_litestream.errors import ArtifactError

_MAGIC = b"\xff Go buildinf:"
_HEADER = 32
_ALIGNMENT = 16
_FLAGS = 15
_STRINGS_INLINE = 2
# A mark of sixteen bytes stands before the second string's text and after it.
_MARK = 16
_LONGEST = 1 << 20


def go_settings(content: bytes) -> dict[str, str]:
    """Return the build settings in an executable's bytes, such as ``{"GOARM": "7"}``.

    Raises ``ArtifactError`` where there are none.
    """
    place = content.find(_MAGIC)
    while place >= 0:
        # Programs that read this format hold the magic as a constant too.
        if place % _ALIGNMENT == 0 and _are_inline(content, place):
            return _settings(content, place + _HEADER)
        place = content.find(_MAGIC, place + 1)
    raise ArtifactError("It says nothing of how Go built it.")


def _are_inline(content: bytes, place: int) -> bool:
    flags = content[place + _FLAGS : place + _FLAGS + 1]
    return bool(flags) and bool(flags[0] & _STRINGS_INLINE)


def _settings(content: bytes, place: int) -> dict[str, str]:
    _version, place = _string(content, place)
    about, _ = _string(content, place)
    lines = about[_MARK:-_MARK].decode("utf-8", "replace").splitlines()
    settings = (
        line.removeprefix("build\t").partition("=")
        for line in lines
        if line.startswith("build\t")
    )
    return {name: value for name, _, value in settings}


def _string(content: bytes, place: int) -> tuple[bytes, int]:
    length = shift = 0
    while True:
        byte = content[place : place + 1]
        if not byte or shift > 63:
            raise ArtifactError("What it says of how Go built it is cut short.")
        place += 1
        length |= (byte[0] & 0x7F) << shift
        shift += 7
        if byte[0] < 0x80:
            break
    text = content[place : place + min(length, _LONGEST)]
    if len(text) != length:
        raise ArtifactError("What it says of how Go built it is cut short.")
    return text, place + length
