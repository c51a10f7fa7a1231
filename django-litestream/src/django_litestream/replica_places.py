"""Where a replica is, however its settings say it."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Mapping
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote

from .litestream_paths import expanded

# Python's urlsplit refuses a password with a [ in it.
_URL = re.compile(
    r"(?P<scheme>[^:/?#]+)://(?:(?P<login>[^/?#]*)@)?(?P<host>[^/?#]*)"
    r"(?P<path>[^?#]*)(?:\?(?P<query>[^#]*))?",
    re.DOTALL,
)
_SCHEME = re.compile(r"^[a-z]+://")


class Place(NamedTuple):
    """Two replicas with one place are one. No secret is in it.

    ``owner`` is the account whose places have names of their own, ``""`` where they
    have none; ``host`` the server, or what stands for it, and ``container`` a bucket.
    """

    type: str
    owner: str
    host: str
    container: str
    path: str


def place_of(replica: Mapping[str, Any]) -> Place:
    """Return the place of a replica, given as in Litestream's configuration."""
    written = str(replica.get("url") or "")
    url = _URL.match(written)
    if written and not url:
        # Litestream will say what is wrong with it.
        return Place("", "", "", "", written)
    of_url = _url_keys(url) if url else {}

    def value(*keys: str) -> str:
        found = (replica.get(key) or of_url.get(key) for key in keys)
        return str(next(filter(None, found), ""))

    kind = of_url.get("type") or str(replica.get("type") or "file")
    path = value("path")
    if kind == "file":
        return Place(kind, "", "", "", str(expanded(path)))
    host = _SCHEME.sub("", value("endpoint", "host", "webdav-url").lower())
    return Place(
        kind,
        value("account-name", "user", "webdav-username"),
        host.rstrip("/"),
        value("bucket"),
        posixpath.normpath(f"/{path}").strip("/"),
    )


def _url_keys(url: re.Match[str]) -> dict[str, str]:
    """Return the keys of a replica that say what a URL of it does."""
    kind, host, path = url["scheme"].lower(), url["host"], unquote(url["path"])
    login = unquote((url["login"] or "").partition(":")[0])
    match kind:
        case "file":
            return {"type": kind, "path": f"/{host}{path}" if host else path}
        case "sftp":
            return {"type": kind, "user": login, "host": host, "path": path}
        case "webdav" | "webdavs":
            keys = {"webdav-username": login, "webdav-url": host, "path": path}
            return {"type": "webdav", **keys}
        case "nats":
            return {"type": kind, "host": host, "bucket": path.strip("/")}
        case "abs":
            return {"type": kind, "account-name": login, "bucket": host, "path": path}
        case _:
            endpoint = parse_qs(url["query"] or "").get("endpoint", [""])[0]
            return {"type": kind, "bucket": host, "endpoint": endpoint, "path": path}
