"""Why a replica cannot be opened, of which SQLite says no more than ``logic error``."""

from __future__ import annotations

import os
import socket
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import parse_qs, quote, unquote, urlsplit

from ..errors import ListingFailed
from ..settings_problems import in_line
from .environment import initial_environment
from .listing import list_files

NO_BACKUP = (
    "there is no backup there yet: run `manage.py litestream replicate`, or correct the "
    "URL"
)

_NO_URL = (
    "its URL cannot be read: percent-encode its user, password and path, '[' as '%5B' "
    "for example"
)

# Litestream's S3 client tries for two minutes to reach a server that is not there.
_LONGEST_LISTING = 5.0
_LONGEST_CONNECTING = 2.0
_PORTS = {
    "http": 80,
    "https": 443,
    "nats": 4222,
    "sftp": 22,
    "webdav": 80,
    "webdavs": 443,
}


def diagnose(url: str) -> str:
    """Return why the replica at ``url`` cannot be opened, without a secret in it.

    Empty where nothing is found to be wrong. Takes a few seconds at most.
    """
    try:
        parts = urlsplit(url)
        if parts.scheme == "file" and (missing := _missing_directory(parts.path)):
            return missing
    except ValueError:
        # What Python says may hold a piece of a password.
        return _NO_URL
    if refused := _refused(url, initial_environment() or os.environ):
        return refused
    try:
        files = list_files(url, _LONGEST_LISTING)
    except ListingFailed as error:
        return str(error)
    return "" if files else NO_BACKUP


def _missing_directory(path: str) -> str:
    """Return what is wrong with the path of a ``file`` URL, if it is no directory.

    Litestream looks for a directory that is named as the path is written in a URL.
    """
    looked_for = Path(quote(path, safe="/%!$&'()*+,:;=@~"))
    if looked_for.is_dir():
        return ""
    meant = Path(unquote(path))
    shown = in_line(meant)
    if meant.is_dir():
        return (
            f"Litestream looks for {looked_for} in place of {shown}: keep the replica "
            "where the path needs no escapes in a URL"
        )
    return f"there is no directory {shown}"


def _refused(url: str, environ: Mapping[str, str]) -> str:
    """Return what a connection to the storage's address says, if it is known here."""
    address = _address(url, environ)
    if address is None or any(name.lower().endswith("_proxy") for name in environ):
        return ""
    try:
        socket.create_connection(address, timeout=_LONGEST_CONNECTING).close()
    except OSError as error:
        host, port = address
        return f"nothing answers at {host}:{port} ({error.strerror or error})"
    except UnicodeError:
        return f"{address[0]!r} is no name of a host"
    return ""


def _address(url: str, environ: Mapping[str, str]) -> tuple[str, int] | None:
    """Return the host and port of the storage, ``None`` where a URL does not say."""
    try:
        parts = urlsplit(url)
        if parts.scheme == "s3":
            endpoint = parse_qs(parts.query).get("endpoint", [""])[0]
            endpoint = endpoint or environ.get("LITESTREAM_S3_ENDPOINT", "")
            parts = urlsplit(endpoint if "://" in endpoint else f"https://{endpoint}")
        elif parts.scheme == "gs":
            parts = urlsplit(f"http://{environ.get('STORAGE_EMULATOR_HOST', '')}")
        port = parts.port or _PORTS.get(parts.scheme)
        return (parts.hostname, port) if parts.hostname and port else None
    except ValueError:
        return None
