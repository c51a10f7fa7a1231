"""What a configuration that somebody has typed, for ``-config``, covers."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from pathlib import Path
from typing import Any

from .configuration import Configuration
from .errors import ConfigurationError
from .subcommands import CONFIG, NO_EXPAND_ENV

_CONFIG = f"-{CONFIG.name}"
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
    words: Sequence[str], environ: Mapping[str, str] = os.environ
) -> dict[Path, Path]:
    """Return the databases of the configuration, each with Litestream's directory.

    ``words`` are a subcommand's. Nothing without ``-config``, for what is no file, as it
    may be read only once, and for what cannot be understood: Litestream says what is
    wrong with that.
    """
    return _of(words, environ, Configuration.metadata) or {}


def replica_types_of(
    words: Sequence[str], environ: Mapping[str, str] = os.environ
) -> frozenset[str]:
    """Return what kinds of storage the replicas are in, nothing as ``metadata_of``."""
    return _of(words, environ, attrgetter("replica_types")) or frozenset()


def _of[T](
    words: Sequence[str],
    environ: Mapping[str, str],
    tell: Callable[[Configuration], T],
) -> T | None:
    if _CONFIG not in words[:-1]:
        return None
    file = Path(words[words.index(_CONFIG) + 1])
    if not os.path.isfile(file):
        return None
    # PyYAML takes long, and is seldom needed.
    import yaml

    try:
        text = file.read_text(encoding="utf-8")
        if f"-{NO_EXPAND_ENV.name}" not in words:
            text = _REFERENCE.sub(
                lambda found: environ.get(found[1] or found[2], ""), text
            )
        mapping = {"dbs": [_entry(written) for written in yaml.safe_load(text)["dbs"]]}
        return tell(
            Configuration(
                mapping=mapping,
                databases=(),
                directories=(),
                left_out=(),
                private_directory=file.parent,
            )
        )
    except _NOT_UNDERSTOOD:
        return None
    except yaml.YAMLError:
        return None


def _entry(written: Mapping[str, Any]) -> dict[str, Any]:
    """Return an entry of ``dbs`` whose paths are those that Litestream makes of them."""
    paths = {
        name: os.path.abspath(os.path.expanduser(written[name]))
        for name in _PATHS
        if written.get(name)
    }
    return {**written, **paths}
