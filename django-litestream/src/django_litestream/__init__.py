"""Litestream for Django: SQLite streamed to object storage, restored and read."""

__version__ = "0.1.0"
