"""No part of a secret is printed, however the program that prints it writes text.

Litestream quotes with Go's ``%q`` and percent-encodes, Python has its ``repr``, and a
command line is shown as a shell would take it. The halves of a made-up secret are of
capital letters, and what is between and around them is not.
"""

from __future__ import annotations

import json
import shlex
import time
import urllib.parse
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from django_litestream.redaction import (
    SECRET_KEYS,
    SECRET_VARIABLES,
    redact,
    redact_url,
    redacted,
    secrets_of,
    url_secrets,
)

halves = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=6, max_size=12)
# All of what a password may have, and what Go, Python, a shell, JSON or a URL escapes.
between = st.one_of(
    st.sampled_from([*"\"'\\`$ %@:/?#&=+;,<>|*~!(){}[]\t\n\r\0\x1b\x7f", "%2F", "\\n"]),
    st.sampled_from(["\u00e9", "\u0085", "\u200b", "\u2028", "\ufeff", "\U0001f511"]),
    st.text(st.characters(exclude_categories=["Cs", "Lu"]), min_size=1, max_size=4),
)
secret_keys = st.sampled_from(sorted(SECRET_KEYS))
surroundings = st.text("abcdefgh 0123456789.,:;()[]{}=_-\n\"'<>`|", max_size=10)


@st.composite
def secrets(draw: st.DrawFn) -> tuple[str, str, str]:
    """A secret, and its halves."""
    first, second = draw(halves), draw(halves)
    # A half that has the other in it would be found where it is not.
    separator = draw(between)
    return f"{first}{separator}{second}", first, second


def go_quoted(text: str) -> str:
    """Return ``text`` as Go's ``%q`` writes it (``strconv.Quote``)."""
    short = {"\a": "a", "\b": "b", "\f": "f", "\n": "n", "\r": "r", "\t": "t"}
    short |= {"\v": "v", "\\": "\\", '"': '"'}

    def escaped(character: str) -> str:
        number = ord(character)
        if character in short:
            return f"\\{short[character]}"
        if number < 0x80 and (number < 0x20 or number == 0x7F):
            return f"\\x{number:02x}"
        if character.isprintable():
            return character
        return f"\\u{number:04x}" if number < 0x10000 else f"\\U{number:08x}"

    return f'"{"".join(map(escaped, text))}"'


def go_quoted_in_ascii(text: str) -> str:
    """Return ``text`` as Go's ``%+q`` writes it."""
    quoted = (
        one
        if ord(one) < 0x80
        else (f"\\u{ord(one):04x}" if ord(one) < 0x10000 else f"\\U{ord(one):08x}")
        for one in go_quoted(text)
    )
    return "".join(quoted)


def percent_encoded_in_small_letters(text: str) -> str:
    return "".join(
        part if index % 2 == 0 else part.lower()
        for index, part in enumerate(_parts(urllib.parse.quote(text, safe="")))
    )


def _parts(encoded: str) -> Iterator[str]:
    """Yield what is not encoded, and what is, in turn."""
    plain, *rest = encoded.split("%")
    yield plain
    for one in rest:
        yield f"%{one[:2]}"
        yield one[2:]


def in_userinfo(text: str) -> str:
    """Return ``text`` as Go's ``url.UserPassword`` writes it."""
    return urllib.parse.quote(text, safe="$&+,;=-_.~")


SPELLINGS: dict[str, Callable[[str], str]] = {
    "plain": str,
    "percent": lambda text: urllib.parse.quote(text, safe=""),
    "percent, small": percent_encoded_in_small_letters,
    "path": urllib.parse.quote,
    "form": urllib.parse.quote_plus,
    "userinfo": in_userinfo,
    "go": go_quoted,
    "go, ascii": go_quoted_in_ascii,
    "repr": repr,
    "ascii": ascii,
    "bytes": lambda text: repr(text.encode()),
    "json": json.dumps,
    "json, utf-8": lambda text: json.dumps(text, ensure_ascii=False),
    "shell": shlex.quote,
    "quoted twice": lambda text: go_quoted(go_quoted(text)),
    "quoted and in a shell": lambda text: shlex.quote(go_quoted(text)),
}
spellings = st.sampled_from(sorted(SPELLINGS))


def as_url(secret: str, scheme: str = "sftp") -> str:
    return f"{scheme}://user:{urllib.parse.quote(secret, safe='')}@host/path"


def known(secret: str, place: str) -> set[str]:
    """Return what the redaction knows of a secret that is configured so."""
    if place == "variable":
        return secrets_of({}, {SECRET_VARIABLES[0]: secret})
    if place == "key":
        return secrets_of({"dbs": [{"replica": {"password": secret}}]}, {})
    url = as_url(secret)
    if place == "url":
        return secrets_of({"dbs": [{"replica": {"url": url}}]}, {})
    return set(url_secrets(url))


places = st.sampled_from(["variable", "key", "url", "argument"])


def leaked(printed: Any, *halves: str) -> list[str]:
    return [half for half in halves if half in str(printed)]


@given(secrets(), places, spellings, surroundings, surroundings)
@example(("FIRSTS'SECOND", "FIRSTS", "SECOND"), "key", "shell", "", "")
@example(("FIRSTS/SECOND", "FIRSTS", "SECOND"), "variable", "percent", "", "")
@example(('FIRSTS"SECOND', "FIRSTS", "SECOND"), "url", "go", "", "")
@example(("FIRSTS\\SECOND", "FIRSTS", "SECOND"), "key", "repr", "", "")
@example(("FIRSTS\u00e9SECOND", "FIRSTS", "SECOND"), "url", "json", "", "")
@example(("FIRSTS SECOND", "FIRSTS", "SECOND"), "variable", "form", "", "")
@example(("FIRSTS@SECOND", "FIRSTS", "SECOND"), "key", "percent, small", "", "")
def test_a_known_secret_is_masked_in_any_spelling(
    made: tuple[str, str, str], place: str, spelling: str, before: str, after: str
) -> None:
    secret, *halves = made
    text = f"{before}{SPELLINGS[spelling](secret)}{after}"
    assert not leaked(redact(text, known(secret, place)), *halves), text


@given(secrets(), places, spellings, st.sampled_from(["sftp", "webdav", "nats", "s3"]))
@example(("FIRSTS'SECOND", "FIRSTS", "SECOND"), "url", "shell", "sftp")
@example(("FIRSTS%SECOND", "FIRSTS", "SECOND"), "argument", "go", "nats")
def test_a_known_secret_is_masked_in_its_url_in_any_spelling(
    made: tuple[str, str, str], place: str, spelling: str, scheme: str
) -> None:
    secret, *halves = made
    for url in (as_url(secret, scheme), f"{scheme}://user:{secret}@host/path"):
        text = f"parse {SPELLINGS[spelling](url)}: refused"
        assert not leaked(redact(text, known(secret, place)), *halves), text


@given(secrets(), spellings)
@example(("FIRSTS'SECOND", "FIRSTS", "SECOND"), "shell")
def test_an_unknown_secret_in_a_well_formed_url_is_masked(
    made: tuple[str, str, str], spelling: str
) -> None:
    secret, *halves = made
    encoded = urllib.parse.quote(secret, safe="")
    for url in (
        as_url(secret),
        f"s3://bucket/path?secret-access-key={encoded}&region=here",
        f"s3://bucket/path?endpoint={urllib.parse.quote(as_url(secret), safe='')}",
    ):
        assert not leaked(redact_url(url), *halves)
        # What encodes a URL once more makes it no URL.
        if spelling not in {"percent", "percent, small", "path", "form", "userinfo"}:
            text = f"a {SPELLINGS[spelling](url)} b"
            assert not leaked(redact(text), *halves), text


@given(secrets(), secret_keys, st.sampled_from(["text", "list", "keys"]))
def test_a_secret_in_a_configuration_is_masked_as_it_is_written(
    made: tuple[str, str, str], key: str, kind: str
) -> None:
    secret, *halves = made
    value: Any = {"text": secret, "list": [secret], "keys": {"a": secret}}[kind]
    configuration = {"dbs": [{"replica": {key: value, "url": as_url(secret)}}]}
    printed = redacted(configuration)
    assert not leaked(printed, *halves)
    known = secrets_of(configuration, {})
    for text in (repr(configuration), json.dumps(configuration), str(printed)):
        assert not leaked(redact(text, known), *halves), text


@given(st.lists(secrets(), min_size=2, max_size=4), st.randoms())
def test_secrets_that_have_others_in_them_are_masked(
    made: list[tuple[str, str, str]], order: Any
) -> None:
    whole = [secret for secret, _, _ in made]
    whole += [f"{one}{other}" for one in whole for other in whole]
    order.shuffle(whole)
    text = " ".join(whole)
    halves = [half for _, *both in made for half in both]
    assert not leaked(redact(text, whole), *halves)


@pytest.mark.parametrize("secret", ["***", "*", "\\1", "\\g<0>", "(", "[", "\0"])
def test_a_secret_of_signs_is_masked(secret: str) -> None:
    assert redact(f"a{secret}b", [secret]) == "a***b"


@given(st.text(), st.lists(st.text(min_size=1), max_size=4))
def test_any_text_and_any_secrets_are_no_error(text: str, secrets: list[str]) -> None:
    redact(text, secrets)


@pytest.mark.parametrize("piece", ["a", "a-", "s3://", "@", ".", "a=b&", "%41", " a:"])
def test_a_long_line_does_not_take_long(piece: str) -> None:
    line = piece * (100_000 // len(piece))
    begun = time.thread_time()
    redact(line, ["SECRET"])
    redact_url(f"s3://host/{line}")
    list(url_secrets(line))
    # A hundred times of what it takes where twice the length takes twice the time.
    assert time.thread_time() - begun < 20.0
