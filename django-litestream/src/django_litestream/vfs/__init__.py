"""Litestream's SQLite VFS in this process."""

from .loading import ensure_vfs_loaded

__all__ = ["ensure_vfs_loaded"]
