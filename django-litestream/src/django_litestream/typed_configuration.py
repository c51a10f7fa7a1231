"""What a configuration that somebody has typed, for ``-config``, covers."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .configuration import Configuration
from .errors import ConfigurationError

_REFERENCE = re.compile(r"\$(?:(\w+)|\{(\w+)\})")
_NOT_UNDERSTOOD = (
    AttributeError,
    ConfigurationError,
    LookupError,
    OSError,
    TypeError,
    ValueError,
)
_PATHS = ("path", "dir", "meta-path", "meta-dir")


def metadata_of(
    file: Path, *, expands: bool, environ: Mapping[str, str] = os.environ
) -> dict[Path, Path]:
    """Return the databases of a configuration, each with Litestream's directory.

    ``expands`` says whether Litestream puts variables of ``environ`` into the text.
    Nothing for what is no file, as it may be read only once, and for what cannot be
    understood: Litestream says what is wrong with that.
    """
    if not os.path.isfile(file):
        return {}
    # PyYAML takes long, and is seldom needed.
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        if expands:
            text = _REFERENCE.sub(
                lambda found: environ.get(found[1] or found[2], ""), text
            )
        mapping = {"dbs": [_entry(written) for written in yaml.safe_load(text)["dbs"]]}
        return Configuration(
            mapping=mapping,
            databases=(),
            directories=(),
            left_out=(),
            private_directory=file.parent,
        ).metadata()
    except _NOT_UNDERSTOOD:
        return {}
    except yaml.YAMLError:
        return {}


def _entry(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of ``dbs`` whose paths are those that Litestream makes of them."""
    paths = {
        name: os.path.abspath(os.path.expanduser(written[name]))
        for name in _PATHS
        if written.get(name)
    }
    return {**written, **paths}
