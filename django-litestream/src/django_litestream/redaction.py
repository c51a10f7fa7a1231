"""Secrets taken out of everything this package prints."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import unquote, unquote_plus

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
# Where a user without a password is a secret too.
_TOKEN_SCHEMES = frozenset({"nats"})

# A scheme of any length would be looked for from each letter of a long line anew.
_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]{0,30}://[^\s\"<>]+")
_WHOLE_URL = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
_QUERY = re.compile(r"[A-Za-z0-9_.-]+=")
# What no user's name has in it, if the @ behind it belongs to something else.
_NO_USER = re.compile(r"([#?]).*", re.DOTALL)
# Where Go's and Python's parsers cut what is not percent-encoded.
_CUTS = re.compile(r"[/?#@&:\s]")
_LONGEST_HARMLESS_PIECE = 3
_SPELT = re.compile(r"[A-Za-z0-9]+|\\+|.", re.DOTALL)
_TRAILING_PUNCTUATION = ".,;:!)]'\""
# How Go's %q, Python's repr, JSON and C write what is no visible character.
_NAMED_ESCAPES = dict(zip("\a\b\t\n\v\f\r\0", "abtnvfr0", strict=True))


@dataclass(frozen=True, kw_only=True)
class _Url:
    """A URL taken apart without a parser: people forget to percent-encode.

    ``before`` is what stands in front of the last ``@`` of the part that is no
    query, ``None`` where there is no ``@``.
    """

    scheme: str
    before: str | None
    after: str
    query: str | None

    @classmethod
    def of(cls, text: str) -> _Url:
        scheme, _, rest = text.partition("://")
        base, _, query = rest.partition("?")
        if not _QUERY.match(query):
            base, query = rest, ""
        before, at, after = base.rpartition("@")
        in_fragment = "#" in before and ":" not in before.partition("#")[0]
        if in_fragment and scheme.lower() not in _TOKEN_SCHEMES:
            at, after = "", base
        return cls(
            scheme=scheme,
            before=before if at else None,
            after=after,
            query=query or None,
        )

    @property
    def password(self) -> str:
        """What is no user name, host or path; empty where there is nothing of it."""
        if self.before is not None:
            user, colon, password = self.before.partition(":")
            if colon:
                return password
            return user if self.scheme.lower() in _TOKEN_SCHEMES else ""
        _, _, port = self.after.partition("/")[0].partition(":")
        return "" if port.isdigit() else port

    @property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's names and values as they are written."""
        pairs = [pair.partition("=") for pair in (self.query or "").split("&")]
        return [(name, value) for name, _, value in pairs]


def redact_url(url: str) -> str:
    """Return ``url`` with its password and its secret parameters masked."""
    parts = _Url.of(url)
    before, after = parts.before, parts.after
    if parts.password:
        if before is None:
            host, slash, path = after.partition("/")
            after = f"{host.partition(':')[0]}:{MASK}{slash}{path}"
        else:
            user, colon, _ = before.partition(":")
            before = f"{user}:{MASK}" if colon else MASK
    if before is not None:
        # Behind a # either the password goes on or a fragment has an @.
        after = MASK if "#" in (parts.before or "") else after
        before = _NO_USER.sub(rf"\1{MASK}", before)
    after, hash_sign, _ = after.partition("#")
    shown = f"{parts.scheme}://{'' if before is None else f'{before}@'}{after}"
    if hash_sign:
        shown += f"#{MASK}"
    if parts.query is None:
        return shown
    query = "&".join(
        f"{name}={_shown(name, value)}" for name, value in parts.parameters
    )
    return f"{shown}?{query}"


def _shown(name: str, value: str) -> str:
    if name.lower() not in _OPEN_PARAMETERS:
        return MASK
    plain = unquote_plus(value)
    if _WHOLE_URL.match(plain):
        endpoint, question_mark, _ = plain.partition("?")
        return redact_url(endpoint) + (f"?{MASK}" if question_mark else "")
    return MASK if "@" in plain else value


def redact(text: str, secrets: Iterable[str] = ()) -> str:
    """Return ``text`` with the given ``secrets`` and those inside URLs masked."""
    for secret in sorted(set(secrets), key=len, reverse=True):
        text = _in_any_spelling(secret).sub(MASK, text)
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


def url_secrets(text: str) -> Iterator[str]:
    """Yield what must not be shown of a text that is, or has in it, a URL."""
    for url in [text] if _WHOLE_URL.match(text) else _URL.findall(text):
        parts = _Url.of(url)
        yield from _meanings(parts.password)
        if parts.before and "#" in parts.before:
            yield from _meanings(parts.after)
        for name, value in parts.parameters:
            if name.lower() not in _OPEN_PARAMETERS:
                yield from _meanings(value)
            elif _WHOLE_URL.match(plain := unquote_plus(value)):
                endpoint = _Url.of(plain)
                for hidden in (endpoint.password, *dict(endpoint.parameters).values()):
                    yield from _meanings(hidden)


def _secret_values(value: Any, *, secret: bool = False) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _secret_values(item, secret=secret or key in SECRET_KEYS)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _secret_values(item, secret=secret)
    elif isinstance(value, EnvironmentReference | bool) or not value:
        return
    elif secret:
        yield str(value)
    elif isinstance(value, str):
        yield from url_secrets(value)


def _meanings(secret: str) -> Iterator[str]:
    """Yield a secret of a URL encoded, decoded, and as a parser cuts it."""
    whole = {secret, unquote(secret), unquote_plus(secret)}
    yield from (one for one in whole if one)
    pieces = (piece for one in whole for piece in _CUTS.split(one))
    yield from (piece for piece in pieces if len(piece) > _LONGEST_HARMLESS_PIECE)


@lru_cache(maxsize=1024)
def _in_any_spelling(secret: str) -> re.Pattern[str]:
    """Return what finds a secret however it is quoted, escaped or encoded."""
    return re.compile(_SPELT.sub(_spelling, secret))


def _spelling(found: re.Match[str]) -> str:
    """Return a pattern for a run of letters or backslashes, or another character.

    Each time that a text is quoted its backslashes double, so any number of them
    stands for one. Those before a secret stay, and those behind a backslash count as
    that one's, so that in no text they can be shared out in more than one way.
    """
    text, start = found.group(), found.start()
    before = found.string[start - 1 : start]
    if text.isascii() and text.isalnum():
        return text
    encoded = [f"{byte:02x}" for byte in text[0].encode(errors="surrogatepass")]
    percent = "".join(f"%(?:25)*{one}" for one in encoded)
    if text[0] == "\\":
        one = r"\\+" if before else r"\\"
        return rf"(?:{one}|(?i:{percent}|{one}(?:x|u00)5c)+)"
    slashes, some = (r"\\*", r"\\+") if before else ("", r"\\")
    if before == "\\":
        slashes = some = ""
    escapes = [f"[xu]0*{ord(text):x}", r"\\+".join(f"x{one}" for one in encoded)]
    pair = text.encode("utf-16-be", "surrogatepass").hex()
    if len(pair) == 8:
        escapes.append(rf"u{pair[:4]}\\+u{pair[4:]}")
    escapes.append(_NAMED_ESCAPES.get(text, "(?!)"))
    ways = [
        f"{slashes}{re.escape(text)}",
        f"{some}(?i:{'|'.join(escapes)})",
        f"(?i:{percent})",
        "&#?[0-9A-Za-z]{1,8};",
    ]
    if text == " ":
        ways.append(r"\+")
    if text == "'":
        ways.append(r"'\\*\"'\\*\"'")
    return f"(?:{'|'.join(ways)})"


def _redact_urls(text: str) -> str:
    def masked(match: re.Match[str]) -> str:
        url = match[0]
        end = len(url.rstrip(_TRAILING_PUNCTUATION))
        return redact_url(url[:end]) + url[end:]

    if _WHOLE_URL.match(text) and "\n" not in text:
        return redact_url(text)
    return _URL.sub(masked, text)
