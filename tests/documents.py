"""The pages of the documentation, taken apart: their code blocks, tables and terms."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]

_FENCE = re.compile(r"^```(?P<language>\S*)$")
_MARK = re.compile(r"^<!-- (?P<mark>.*) -->$")
_REASON = re.compile(r"^not run: (?P<reason>\S.*)$")
_ELSEWHERE = re.compile(r"^run by (?P<test>tests/\w+\.py)$")
_IN_PART = re.compile(r"^run in part: (?P<word>\S+)$")
_CODE = re.compile(r"`([^`\n]+)`")


@dataclass(frozen=True, kw_only=True)
class Block:
    """A fenced block of code, and the comment on the line before it."""

    page: str
    line: int
    language: str
    text: str
    mark: str = ""

    def __str__(self) -> str:
        return f"{self.page}:{self.line}"

    @property
    def reason(self) -> str:
        """Why it cannot be run; empty where it can."""
        found = _REASON.match(self.mark)
        return found["reason"] if found else ""

    @property
    def run_by(self) -> str:
        """The other test that runs it; empty where there is none."""
        found = _ELSEWHERE.match(self.mark)
        return found["test"] if found else ""

    @property
    def left_out(self) -> str:
        """The word that is on the lines that cannot be run; empty for no line."""
        found = _IN_PART.match(self.mark)
        return found["word"] if found else ""

    @property
    def is_settings(self) -> bool:
        return self.language == "python" and self.text.startswith("# settings.py\n")

    @property
    def commands(self) -> list[str]:
        """The lines of a shell block that are to be run."""
        lines = [line for line in self.text.splitlines() if line and line[0] != "#"]
        return [
            line for line in lines if not self.left_out or self.left_out not in line
        ]


@dataclass(frozen=True, kw_only=True)
class Page:
    """A page in Markdown; ``name`` is its path in the repository."""

    name: str
    text: str

    @cached_property
    def blocks(self) -> Sequence[Block]:
        """The blocks of code; what Sphinx builds itself (``{toctree}``) is none."""
        return tuple(block for block in self._fenced() if block.language[:1] != "{")

    @cached_property
    def prose(self) -> str:
        """The page without its blocks."""
        lines = self.text.splitlines()
        for block in self._fenced():
            end = block.line + block.text.count("\n") + 1
            lines[block.line - 1 : end] = [""] * (end - block.line + 1)
        return "\n".join(lines)

    @property
    def inline_code(self) -> list[str]:
        """What stands between single backticks."""
        return _CODE.findall(self.prose)

    def section(self, heading: str) -> str:
        """Return the prose from a heading to the next one of its level or above."""
        level, _, title = heading.partition(" ")
        pattern = (
            rf"(?ms)^{level} {re.escape(title)}$\n(.*?)(?=^#{{1,{len(level)}}} |\Z)"
        )
        found = re.search(pattern, self.prose)
        assert found, f"{self.name} has no {heading!r}"
        return found[1]

    def _fenced(self) -> Iterator[Block]:
        lines = self.text.splitlines()
        start = None
        for number, line in enumerate(lines):
            if start is None and (fence := _FENCE.match(line)):
                start, language = number, fence["language"]
            elif start is not None and line == "```":
                mark = _MARK.match(lines[start - 1]) if start else None
                yield Block(
                    page=self.name,
                    line=start + 1,
                    language=language,
                    text="".join(f"{one}\n" for one in lines[start + 1 : number]),
                    mark=mark["mark"] if mark else "",
                )
                start = None
        assert start is None, f"{self.name} ends inside of a block"


def first_column(section: str) -> list[str]:
    """Return the code that stands in the first column of a section's tables."""
    rows = [line for line in section.splitlines() if line.startswith("|")]
    return [name for row in rows for name in _CODE.findall(row.split("|")[1])]


def terms(section: str) -> list[str]:
    """Return the code in the terms of a section's definition lists."""
    lines = section.splitlines()
    return [
        code
        for line, following in pairwise(lines)
        if following.startswith(": ")
        for code in _CODE.findall(line)
    ]


def _read(path: Path) -> Page:
    name = path.relative_to(REPOSITORY).as_posix()
    return Page(name=name, text=path.read_text(encoding="utf-8"))


PAGES = {
    page.name: page
    for page in map(
        _read, [REPOSITORY / "README.md", *sorted(REPOSITORY.glob("docs/*.md"))]
    )
}
BLOCKS = tuple(block for page in PAGES.values() for block in page.blocks)
