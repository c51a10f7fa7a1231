"""The URI that opens a replica: everything of a connection is in it.

Nothing goes through the environment, which Go reads as it was when the process
started, and which all connections of a process share.
"""

from __future__ import annotations

from urllib.parse import quote, urlencode

from ..replicas import Replica

# In nothing else is SQLite's own VFS told from Litestream's.
_MARK = "vfs=litestream"


def is_vfs_name(name: object) -> bool:
    """Whether a ``NAME`` of ``DATABASES`` is read through the VFS.

    Django's test runner puts that of the primary in its place.
    """
    return isinstance(name, str) and _MARK in name.partition("?")[2].split("&")


def connection_uri(name: str, replica: Replica) -> str:
    """Return the ``NAME`` with all that the VFS is to know of ``replica``."""
    parameters = {
        "replica_url": replica.url,
        "poll_interval": _duration(replica.poll_interval),
        "cache_size": str(replica.cache_size),
    }
    return f"{name}&{urlencode(parameters, quote_via=quote, safe='')}"


def _duration(seconds: float) -> str:
    """Return ``seconds`` as Go reads them: to the nanosecond, without an exponent."""
    return f"{seconds:.9f}".rstrip("0").rstrip(".") + "s"
