"""Secrets taken out of everything this package prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit, urlunsplit

from .references import EnvironmentReference

MASK = "***"

# Keys of Litestream's configuration whose value is a secret.
SECRET_KEYS = frozenset(
    {
        "account-key",
        "creds",
        "identities",
        "jwt",
        "nkey",
        "password",
        "sas-token",
        "secret-access-key",
        "seed",
        "sse-customer-key",
        "token",
        "webdav-password",
    }
)

SECRET_VARIABLES = (
    "LITESTREAM_SECRET_ACCESS_KEY",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "LITESTREAM_AZURE_ACCOUNT_KEY",
    "LITESTREAM_SFTP_PASSWORD",
    "LITESTREAM_WEBDAV_PASSWORD",
)

# Query parameters that Litestream reads from replica URLs and that say where
# the replica is. What is not named here is taken for a secret.
_OPEN_PARAMETERS = frozenset(
    {"concurrent-writes", "endpoint", "force-path-style", "forcepathstyle", "region"}
)

_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://[^\s\"'<>\\]+")


def redact_url(url: str) -> str:
    """Return ``url`` with its user's password and its secret parameters masked.

    A text that cannot be parsed as a URL loses everything after its scheme.
    """
    try:
        parts = urlsplit(url)
        query = parse_qsl(parts.query, keep_blank_values=True)
    except ValueError:
        return f"{url.partition('://')[0]}://{MASK}"
    userinfo, at, host = parts.netloc.rpartition("@")
    user, colon, _ = userinfo.partition(":")
    shown = [
        (
            name,
            _redact_urls(value) if name.lower() in _OPEN_PARAMETERS else MASK,
        )
        for name, value in query
    ]
    return urlunsplit(
        (
            parts.scheme,
            f"{user}{colon}{MASK if colon else ''}{at}{host}",
            parts.path,
            urlencode(shown, safe="*:/"),
            MASK if parts.fragment else "",
        )
    )


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with the given ``secrets`` and those inside URLs masked."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = text.replace(secret, MASK)
    return _redact_urls(text)


def redacted(value: Any) -> Any:
    """Return a copy of a configuration with the values of secret keys masked."""
    if isinstance(value, EnvironmentReference):
        return value
    if isinstance(value, Mapping):
        return {
            key: MASK if _is_secret(key, item) else redacted(item)
            for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [redacted(item) for item in value]
    return _redact_urls(value) if isinstance(value, str) else value


def _is_secret(key: str, value: Any) -> bool:
    return (
        key in SECRET_KEYS
        and bool(value)
        and not isinstance(value, EnvironmentReference)
    )


def secrets_of(configuration: Any, environ: Mapping[str, str]) -> set[str]:
    """Return the secret values that a configuration and the environment hold."""
    found = {environ[name] for name in SECRET_VARIABLES if environ.get(name)}
    found.update(_secret_values(configuration))
    return found


def _secret_values(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secret_values(item, secret=secret or key in SECRET_KEYS)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_values(item, secret=secret)
    elif (
        isinstance(value, str) and value and not isinstance(value, EnvironmentReference)
    ):
        if secret:
            yield value
        else:
            yield from _url_secrets(value)


def _url_secrets(text: str) -> Iterator[str]:
    for url in _URL.findall(text):
        userinfo, _, _ = url.partition("://")[2].rpartition("@")
        if password := userinfo.partition(":")[2]:
            yield from (password, unquote(password))
        for name, value in parse_qsl(url.partition("?")[2]):
            if value and name.lower() not in _OPEN_PARAMETERS:
                yield from (value, quote(value, safe=""))


def _redact_urls(text: str) -> str:
    return _URL.sub(lambda match: redact_url(match[0]), text)
