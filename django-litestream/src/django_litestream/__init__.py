"""Litestream for Django: SQLite streamed to object storage, restored and read."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .moments import time_travel as time_travel
    from .replica_status import get_vfs_status as get_vfs_status
    from .replicas import get_vfs_databases as get_vfs_databases

__version__ = "0.7.0"

# Imported when they are asked for: settings.py needs the first before there are any.
_EXPORTS = {
    "get_vfs_databases": "replicas",
    "get_vfs_status": "replica_status",
    "time_travel": "moments",
}

__all__ = ["get_vfs_databases", "get_vfs_status", "time_travel"]


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f".{_EXPORTS[name]}", __name__), name)
