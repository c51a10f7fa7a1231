"""No secret is printed, wherever it stands and however it is written.

Made-up secrets are of capital letters, and what surrounds them is not, so that a
part of one which is found again has leaked. Nothing recognises less than four
letters.
"""

from __future__ import annotations

import json
from pathlib import Path
from urllib.parse import quote

import pytest
from django.core.management import call_command
from django.core.management.base import CommandError
from hypothesis import example, given
from hypothesis import strategies as st

from django_litestream.redaction import (
    MASK,
    SECRET_KEYS,
    SECRET_VARIABLES,
    redact,
    redact_url,
    redacted,
    secrets_of,
    url_secrets,
)
from django_litestream.references import EnvironmentReference

halves = st.text("ABCDEFGHIJKLMNOPQRSTUVWXYZ", min_size=4, max_size=12)
# What Go's URLs take in a password beside letters, the apostrophe excepted.
in_userinfo = st.sampled_from([*"-._~!$&()*+,;=:@", "%2F", "%3f", "%23", "%20", "%27"])
in_query = st.sampled_from([*"-._~!$()*+,:@/?=", "%26", "%2F", "%23", "%20", "%27"])
secret_keys = st.sampled_from(sorted(SECRET_KEYS))
open_keys = st.sampled_from(["access-key-id", "bucket", "path", "replica", "username"])
surroundings = st.text("abcdefgh 0123456789.,:;()[]{}=_-\n\"'<>`|", max_size=20)


@st.composite
def urls(draw: st.DrawFn) -> tuple[str, list[str]]:
    """A replica URL and the two halves of the secret in it."""
    first, second = draw(halves), draw(halves)
    in_password = first + draw(in_userinfo) + second
    in_parameter = first + draw(in_query) + second
    scheme = draw(
        st.sampled_from(["s3", "gs", "abs", "oss", "sftp", "nats", "webdav", "webdavs"])
    )
    endpoint = f"https://user:{in_password.replace('&', '%26')}@storage:9000"
    url = draw(
        st.sampled_from(
            [
                f"{scheme}://user:{in_password}@host:22/some/path",
                f"{scheme}://user:{in_password}@host?region=here",
                f"{scheme}://:{in_password}@[::1]:22/some/path",
                f"{scheme}://host/some/path?sas-token={in_parameter}",
                f"{scheme}://host/path?region=here&secret-access-key={in_parameter}",
                f"{scheme}://host/path?of-a-newer-litestream={in_parameter}&region=x",
                f"{scheme}://host/path?endpoint={quote(endpoint)}&region=here",
                f"{scheme}://host/path?endpoint={quote(endpoint, safe='')}",
                f"{scheme}://host/path?endpoint=https://u:{first}-{second}@storage",
                f"{scheme}://host/path#{in_parameter}",
            ]
        )
    )
    return url, [first, second]


def leaked(printed: object, halves: list[str]) -> list[str]:
    return [half for half in halves if half in str(printed)]


@pytest.mark.parametrize(
    "url",
    [
        "file:///srv/backup/shop.db",
        "file:///srv/my backup/shop.db",
        "s3://bucket/shop.db",
        "s3://bucket.storage.example:9000/shop.db",
        "s3://bucket/shop.db?endpoint=http://127.0.0.1:9000&region=us-east-1",
        "s3://bucket/shop.db?endpoint=&region=us-east-1",
        "s3://bucket/shop.db?forcePathStyle=true&concurrent-writes=false",
        "gs://bucket/shop.db",
        "abs://account@container/shop.db",
        "sftp://user@host:22/srv/shop.db",
        "sftp://user@[::1]:22/srv/shop.db",
        "nats://127.0.0.1:4222/bucket",
        "webdav://host:8080/shop.db",
        "webdavs://host/shop.db",
        "oss://bucket.oss-cn-hangzhou.aliyuncs.com/shop.db",
    ],
)
def test_what_says_where_a_replica_is_stays_readable(url: str) -> None:
    assert redact_url(url) == url
    assert redact(f"cannot open {url}: refused") == f"cannot open {url}: refused"
    assert redacted({"url": url}) == {"url": url}


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        ("s3://key:secret@bucket/shop.db", "s3://key:***@bucket/shop.db"),
        ("s3://:secret@bucket/shop.db", "s3://:***@bucket/shop.db"),
        (
            "s3://bucket/shop.db?endpoint=http://key:secret@127.0.0.1:9000&region=x",
            "s3://bucket/shop.db?endpoint=http://key:***@127.0.0.1:9000&region=x",
        ),
        (
            "s3://bucket/shop.db?secret-access-key=secret&access-key-id=key&region=x",
            "s3://bucket/shop.db?secret-access-key=***&access-key-id=***&region=x",
        ),
        (
            "gs://bucket/shop.db?credentials=secret",
            "gs://bucket/shop.db?credentials=***",
        ),
        (
            "abs://account:secret@container/shop.db",
            "abs://account:***@container/shop.db",
        ),
        (
            "abs://account@container/shop.db?sv=2024&sig=secret",
            "abs://account@container/shop.db?sv=***&sig=***",
        ),
        ("sftp://user:secret@host:22/shop.db", "sftp://user:***@host:22/shop.db"),
        ("sftp://user:se:cr@et@host/shop.db", "sftp://user:***@host/shop.db"),
        ("sftp://user:se%2Fcr%40et@host/shop.db", "sftp://user:***@host/shop.db"),
        ("nats://user:secret@host:4222/bucket", "nats://user:***@host:4222/bucket"),
        ("webdav://user:secret@host/shop.db", "webdav://user:***@host/shop.db"),
        ("webdavs://user:secret@[::1]/shop.db", "webdavs://user:***@[::1]/shop.db"),
        (
            "oss://bucket/shop.db?security-token=secret",
            "oss://bucket/shop.db?security-token=***",
        ),
        ("s3://bucket/shop.db#secret", "s3://bucket/shop.db#***"),
    ],
)
def test_what_opens_a_replica_is_masked(url: str, shown: str) -> None:
    assert redact_url(url) == shown
    assert redact(f'parse "{url}": refused') == f'parse "{shown}": refused'
    assert redacted({"replica": {"url": url}}) == {"replica": {"url": shown}}


@given(urls(), surroundings, surroundings)
@example(("nats://host/path#FIRST@SECOND", ["FIRST", "SECOND"]), "", "")
@example(("sftp://u:FIRST@host/path#SEC@SECOND", ["FIRST", "SECOND"]), "", "")
def test_no_part_of_a_secret_in_a_url_is_shown(
    made: tuple[str, list[str]], before: str, after: str
) -> None:
    url, halves = made
    assert not leaked(redact_url(url), halves)
    assert not leaked(redact(f"{before} {url} {after}"), halves)
    assert not leaked(redact(f'{before}"{url}"{after} {url}'), halves)
    assert not leaked(redacted({"dbs": [{"replica": {"url": url}}]}), halves)


@pytest.mark.parametrize(
    ("url", "secrets"),
    [
        ("sftp://user:se%40cret@host/shop.db", {"se%40cret", "se@cret"}),
        ("s3://bucket/shop.db?token=se%2Fcret", {"se%2Fcret", "se/cret"}),
        ("s3://bucket/shop.db?region=here&endpoint=http://host", set()),
    ],
)
def test_a_secret_in_a_configured_url_is_known_as_written_and_as_meant(
    url: str, secrets: set[str]
) -> None:
    found = secrets_of({"dbs": [{"replica": {"url": url}}]}, {})
    assert found >= secrets
    assert bool(found) == bool(secrets)


@given(halves, halves, st.permutations([0, 1, 2]), surroundings)
def test_given_secrets_are_masked_wherever_they_stand(
    first: str, second: str, order: list[int], text: str
) -> None:
    # One is the beginning of another.
    known = [first, first + second, "of another place"]
    shown = redact(
        f"{text}{first}{text}{first}{second}", [known[index] for index in order]
    )
    assert not leaked(shown, [first, second])


@given(
    st.recursive(
        st.one_of(halves, st.none(), st.integers(), st.booleans()),
        lambda inner: st.one_of(
            st.lists(inner, max_size=3),
            st.dictionaries(open_keys, inner, max_size=3),
        ),
    ),
    secret_keys,
    halves,
)
def test_secret_keys_are_masked_at_any_depth_and_nothing_else_is(
    innocent: object, key: str, secret: str
) -> None:
    configuration = {"dbs": [{"path": innocent, "replica": {key: f"x{secret}"}}]}
    assert redacted(configuration) == {
        "dbs": [{"path": innocent, "replica": {key: MASK}}]
    }


@given(st.dictionaries(secret_keys, halves, min_size=1), st.booleans())
def test_what_a_configuration_holds_is_masked_in_what_is_printed(
    replica: dict[str, str], in_a_list: bool
) -> None:
    configuration = {"dbs": [{"replicas": [replica] if in_a_list else replica}]}
    shown = redact(json.dumps(configuration), secrets_of(configuration, {}))
    assert not leaked(shown, list(replica.values()))


@pytest.mark.parametrize("name", SECRET_VARIABLES)
def test_what_the_environment_holds_is_masked(name: str) -> None:
    secrets = secrets_of({}, {name: "secret", "AWS_REGION": "here", "HOME": ""})
    assert secrets == {"secret"}
    assert redact("the secret of here", secrets) == f"the {MASK} of here"


def test_an_empty_variable_is_no_secret() -> None:
    assert secrets_of({"password": ""}, dict.fromkeys(SECRET_VARIABLES, "")) == set()


def test_the_name_of_a_variable_is_no_secret() -> None:
    configuration = {"secret-access-key": EnvironmentReference("AWS_SECRET_ACCESS_KEY")}
    assert redacted(configuration) == configuration
    assert secrets_of(configuration, {}) == set()


def test_a_secret_that_is_not_set_is_not_masked() -> None:
    configuration: dict[str, object] = {"password": "", "token": None, "seed": []}
    assert redacted(configuration) == configuration


def test_what_is_given_is_not_changed() -> None:
    configuration = {"dbs": [{"replica": {"password": "secret"}}]}
    redacted(configuration)
    assert configuration == {"dbs": [{"replica": {"password": "secret"}}]}


@given(st.text())
@example("://")
@example("s3://")
@example("s3://]/[")
@example("s3://a\u2100b/")
@example("s3://host/?%zz=%&&==&#?#")
def test_nonsense_is_no_error(text: str) -> None:
    for url in (text, f"s3://{text}", f"s3://host/{text}", f"s3://host?{text}"):
        redact_url(url)
        redact(url)
        redacted({"url": url})


# Passwords that were not percent-encoded. Litestream quotes the URL it refuses.


def test_a_password_may_have_an_apostrophe() -> None:
    url = "sftp://user:FIRST'SECOND@host/path"
    assert not leaked(redact(url), ["FIRST", "SECOND"])
    assert not leaked(redacted({"url": url}), ["FIRST", "SECOND"])


@pytest.mark.parametrize("character", ["/", "?", "#"])
def test_a_password_with_what_ends_a_hosts_name_is_masked(character: str) -> None:
    url = f"sftp://user:FIRST{character}SECOND@host/path"
    assert not leaked(redact_url(url), ["FIRST", "SECOND"])


@pytest.mark.parametrize("character", ["/", "?", "#", " "])
def test_what_litestream_quotes_of_a_url_is_masked(
    character: str, tmp_path: Path
) -> None:
    url = f"sftp://user:FIRST{character}SECOND@host/path"
    with pytest.raises(CommandError) as raised:
        call_command("litestream", "restore", "-o", str(tmp_path / "copy"), url)
    assert not leaked(raised.value, ["FIRST", "SECOND"])


def test_what_go_takes_for_a_port_is_masked() -> None:
    secrets = url_secrets("sftp://user:FIRST:SECOND/@host/path")
    assert redact('invalid port ":SECOND" after host', secrets) == (
        'invalid port ":***" after host'
    )


@pytest.mark.parametrize("character", [" ", '"', "<", "\\"])
def test_a_password_with_what_no_url_may_have_is_masked(character: str) -> None:
    url = f"sftp://user:FIRST{character}SECOND@host/path"
    assert not leaked(redacted({"url": url}), ["FIRST", "SECOND"])


@pytest.mark.parametrize("character", ["+", "%20", "%27"])
def test_a_password_in_an_endpoint_is_masked(character: str) -> None:
    url = f"s3://bucket/path?endpoint=http://key:FIRST{character}SECOND@host:9000"
    assert not leaked(redact_url(url), ["FIRST", "SECOND"])


def test_an_endpoint_without_a_scheme_is_masked() -> None:
    assert not leaked(
        redact_url("s3://bucket/path?endpoint=user:SECRET@host:9000"), ["SECRET"]
    )


def test_a_nats_token_is_masked() -> None:
    assert redact_url("nats://TOKEN@host:4222/bucket") == "nats://***@host:4222/bucket"


def test_a_password_of_digits_is_a_secret() -> None:
    assert secrets_of({"password": 12345678}, {}) == {"12345678"}


def test_a_word_that_is_not_utf8_is_no_error() -> None:
    redact_url("s3://bucket/path?region=\udcff")
