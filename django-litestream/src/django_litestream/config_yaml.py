"""Litestream's configuration as YAML text.

Litestream expands ``$NAME`` in the text before it reads it as YAML. The text made
here means the same whether it does or not: a ``$`` that is not a reference is
written as an escape.
"""

from __future__ import annotations

import io
from typing import Any

import yaml

from .references import EnvironmentReference


def dump(mapping: dict[str, Any]) -> str:
    """Return the YAML text of a configuration of plain values and references."""
    return yaml.dump(
        mapping,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=False,
        width=float("inf"),
    )


class _Dumper(yaml.SafeDumper):
    def ignore_aliases(self, data: Any) -> bool:
        return True

    def write_double_quoted(self, text: str, split: bool = True) -> None:
        stream, self.stream = self.stream, io.StringIO()
        super().write_double_quoted(text, split=False)
        quoted, self.stream = self.stream.getvalue(), stream
        self.stream.write(quoted.replace("$", r"\x24"))


def _represent_str(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    # PyYAML's plain and single-quoted styles lose line breaks such as U+0085.
    style = '"' if "$" in text or not text.isprintable() else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


def _represent_reference(
    dumper: yaml.SafeDumper, name: EnvironmentReference
) -> yaml.ScalarNode:
    # In quotes, so that a value such as `*key` or `a: b` stays one string.
    return dumper.represent_scalar("tag:yaml.org,2002:str", f"${name}", style="'")


_Dumper.add_representer(str, _represent_str)
_Dumper.add_representer(EnvironmentReference, _represent_reference)
