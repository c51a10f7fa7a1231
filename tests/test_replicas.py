"""``settings.LITESTREAM['vfs']`` becomes entries of ``DATABASES``, and is read back."""

from __future__ import annotations

import math
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from django_litestream import conf, get_vfs_databases, replicas
from django_litestream.replicas import Replica
from django_litestream.vfs.uri import connection_uri, is_vfs_name

URL = "s3://bucket/path"
SECRET = "s3://me:hunter2@bucket/path"

EVERY_KEY = {
    "url": URL,
    "primary": "reports_db",
    "poll_interval": "1m30s",
    "cache_size": 50_000_000,
    "hydration": True,
    "open_timeout": 2.5,
    "max_lag_seconds": 20,
    "route": False,
}


def test_a_url_is_enough() -> None:
    assert get_vfs_databases({"vfs": {"replica": URL}}) == {
        "replica": {
            "ENGINE": "django_litestream.db.backends.sqlite_vfs",
            "NAME": "file:replica.db?vfs=litestream&mode=ro",
            "OPTIONS": {"litestream_replica_url": URL},
            "CONN_MAX_AGE": None,
            "TEST": {"MIRROR": "default"},
        }
    }


def test_every_key() -> None:
    entry = get_vfs_databases({"vfs": {"reports": EVERY_KEY}})["reports"]
    assert entry["OPTIONS"] == {
        "litestream_replica_url": URL,
        "litestream_poll_interval": 90.0,
        "litestream_cache_size": 50_000_000,
        "litestream_hydration": True,
        "litestream_open_timeout": 2.5,
        "litestream_max_lag_seconds": 20,
        "litestream_route": False,
    }
    assert entry["TEST"] == {"MIRROR": "reports_db"}
    assert set(EVERY_KEY) == {one.name for one in fields(Replica)} - {"alias", "moment"}


@pytest.mark.parametrize("entry", [URL, EVERY_KEY, {**EVERY_KEY, "hydration": False}])
def test_an_entry_is_read_back_as_it_was(entry: Any) -> None:
    settings = {"reports": entry, "max_lag_seconds": 7, "pin_seconds": 3}
    (replica,) = replicas.read(settings)
    assert Replica.from_database("reports", replica.as_database()) == replica
    assert replica.max_lag_seconds == (7 if entry is URL else 20)


def test_a_lag_without_limit_is_read_back_too() -> None:
    (replica,) = replicas.read(
        {"a": {"url": URL, "max_lag_seconds": None}, "max_lag_seconds": 5}
    )
    assert replica.max_lag_seconds is None
    assert Replica.from_database("a", replica.as_database()) == replica


def test_any_alias_goes_into_a_name() -> None:
    (name,) = (
        entry["NAME"] for entry in get_vfs_databases({"vfs": {"a&b?/ü": URL}}).values()
    )
    assert name == "file:a%26b%3F%2F%C3%BC.db?vfs=litestream&mode=ro"
    assert is_vfs_name(name)


def test_the_uri_holds_all_the_vfs_is_to_know() -> None:
    (replica,) = replicas.read(
        {"a": {"url": f"{SECRET}?a=b&c", "cache_size": 5_000, "poll_interval": "200ms"}}
    )
    assert connection_uri(replica.as_database()["NAME"], replica) == (
        "file:a.db?vfs=litestream&mode=ro"
        "&replica_url=s3%3A%2F%2Fme%3Ahunter2%40bucket%2Fpath%3Fa%3Db%26c"
        "&poll_interval=0.2s&cache_size=5000"
    )


def test_it_asks_for_a_smaller_cache_than_litestream_takes_by_itself() -> None:
    (replica,) = replicas.read({"a": {"url": URL}})
    uri = connection_uri(replica.as_database()["NAME"], replica)
    assert uri.endswith("&poll_interval=1s&cache_size=2000000")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [(1, "1s"), (1_000_000, "1000000s"), (0.00001, "0.00001s"), (100, "100s")],
)
def test_go_reads_no_exponent(seconds: float, written: str) -> None:
    replica = Replica(alias="a", url=URL, poll_interval=seconds)
    assert f"&poll_interval={written}" in connection_uri("file:a.db", replica)


@pytest.mark.parametrize(
    "name", ["/srv/db.sqlite3", ":memory:", Path("vfs=litestream"), "file:a?vfs=other"]
)
def test_other_databases_are_not_read_through_the_vfs(name: object) -> None:
    assert not is_vfs_name(name)


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (5, 5.0),
        (0.5, 0.5),
        ("5s", 5.0),
        ("200ms", 0.2),
        ("1.5m", 90.0),
        ("1h2m3s4ms", 3723.004),
    ],
)
def test_durations(written: object, seconds: float) -> None:
    (replica,) = replicas.read(
        {"a": {"url": URL, "poll_interval": written, "open_timeout": written}}
    )
    assert (replica.poll_interval, replica.open_timeout) == (seconds, seconds)


DURATION = "expected a number of seconds or a duration such as '5s', got"
A_URL = "expected a replica's URL such as 's3://bucket/path'"
ENTRY = f"{A_URL}, or a dictionary with a 'url'."


def entry(**keys: object) -> dict[str, Any]:
    return {"a": {"url": URL, **keys}}


WRONG: list[tuple[Any, str, str]] = [
    ([], "", f"expected {replicas.EXPECTED}, got []."),
    ({"a": 3}, "['a']", ENTRY),
    ({"a": None}, "['a']", ENTRY),
    ({"a": [SECRET]}, "['a']", ENTRY),
    ({"a": SECRET.encode()}, "['a']", ENTRY),
    ({"a": SECRET.replace("://", "//")}, "['a']", ENTRY),
    ({"": URL}, "['']", "expected a database alias as its key, got ''."),
    ({3: URL}, "[3]", "expected a database alias as its key, got 3."),
    ({"a": {}}, "['a']", "expected a dictionary with a 'url', got []."),
    (
        {"a": {"route": True, "primary": "default"}},
        "['a']",
        "expected a dictionary with a 'url', got ['primary', 'route'].",
    ),
    (entry(url=3), "['a']['url']", f"{A_URL}."),
    (entry(url=SECRET.replace("://", ":")), "['a']['url']", f"{A_URL}."),
    (
        entry(primary="a"),
        "['a']['primary']",
        "expected another alias than the replica's own, got 'a'.",
    ),
    (entry(primary=""), "['a']['primary']", "expected a database alias, got ''."),
    (entry(primary=3), "['a']['primary']", "expected a database alias, got 3."),
    (entry(poll_interval="5"), "['a']['poll_interval']", f"{DURATION} '5'."),
    (entry(poll_interval=0), "['a']['poll_interval']", f"{DURATION} 0."),
    (entry(poll_interval="0s"), "['a']['poll_interval']", f"{DURATION} '0s'."),
    (entry(poll_interval=1e-9), "['a']['poll_interval']", f"{DURATION} 1e-09."),
    (entry(poll_interval=1e10), "['a']['poll_interval']", f"{DURATION} 10000000000.0."),
    (entry(open_timeout=-1), "['a']['open_timeout']", f"{DURATION} -1."),
    (entry(open_timeout=True), "['a']['open_timeout']", f"{DURATION} True."),
    (entry(open_timeout=math.inf), "['a']['open_timeout']", f"{DURATION} inf."),
    (entry(open_timeout=None), "['a']['open_timeout']", f"{DURATION} None."),
    (entry(cache_size=0), "['a']['cache_size']", "expected a number of bytes, got 0."),
    (
        entry(cache_size="50MB"),
        "['a']['cache_size']",
        "expected a number of bytes, got '50MB'.",
    ),
    (entry(hydration=1), "['a']['hydration']", "expected True or False, got 1."),
    (entry(route="no"), "['a']['route']", "expected True or False, got 'no'."),
    (
        entry(max_lag_seconds="5s"),
        "['a']['max_lag_seconds']",
        "expected a number of seconds or None, got '5s'.",
    ),
    (
        {"max_lag_seconds": 0},
        "['max_lag_seconds']",
        "expected a number of seconds or None, got 0.",
    ),
    ({"pin_seconds": -1}, "['pin_seconds']", "expected a number of seconds, got -1."),
    (
        {"pin_seconds": None},
        "['pin_seconds']",
        "expected a number of seconds, got None.",
    ),
    ({"max_lag_second": 5}, "['max_lag_second']", "did you mean 'max_lag_seconds'?"),
    ({"pin-seconds": "5s"}, "['pin-seconds']", "did you mean 'pin_seconds'?"),
    (
        entry(polinterval=SECRET),
        "['a']['polinterval']",
        "did you mean 'poll_interval'?",
    ),
    (
        entry(colour=SECRET),
        "['a']['colour']",
        f"there is no such key, only {', '.join(EVERY_KEY)}.",
    ),
]


@pytest.mark.parametrize(("vfs", "place", "what"), WRONG)
def test_what_is_wrong_is_named_and_no_password(
    vfs: Any, place: str, what: str
) -> None:
    message = f"settings.LITESTREAM['vfs']{place} is improperly configured: {what}"
    with pytest.raises(ImproperlyConfigured) as raised:
        get_vfs_databases({"vfs": vfs})
    assert str(raised.value) == message
    with override_settings(LITESTREAM={"vfs": vfs}):
        (problem,) = conf.problems()
        if isinstance(vfs, dict):
            with pytest.raises(ImproperlyConfigured) as raised:
                _ = conf.app_settings.vfs
            assert str(raised.value) == message
    assert (problem.id, problem.message) == ("E001", message)
    assert "hunter2" not in f"{problem.message}{problem.hint}"


def test_all_that_is_wrong_is_found() -> None:
    found = list(replicas.problems({**entry(route=3, primary=""), "b": "", 3: 4}))
    assert len(found) == 4


def test_a_misspelt_url_does_not_hide_that_there_is_none() -> None:
    messages = [one.message for one in replicas.problems({"a": {"urll": SECRET}})]
    assert messages == [
        "settings.LITESTREAM['vfs']['a'] is improperly configured: expected a dictionary "
        "with a 'url', got ['urll'].",
        "settings.LITESTREAM['vfs']['a']['urll'] is improperly configured: did you mean "
        "'url'?",
    ]


def by_hand(**options: object) -> dict[str, Any]:
    return {"OPTIONS": {"litestream_replica_url": SECRET, **options}}


def test_an_entry_by_hand_needs_a_url() -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        Replica.from_database("by hand", {"OPTIONS": None})
    assert str(raised.value) == (
        "settings.DATABASES['by hand']['OPTIONS']['litestream_replica_url'] is missing: "
        "make the entry with django_litestream.get_vfs_databases()."
    )


@pytest.mark.parametrize(
    ("entry", "key", "expected"),
    [
        ({"OPTIONS": 5}, "['OPTIONS']", "expected a dictionary as get_vfs_databases()"),
        ({"OPTIONS": [SECRET]}, "['OPTIONS']", "expected a dictionary"),
        (
            {"OPTIONS": {"litestream_replica_url": 5}},
            "['OPTIONS']['litestream_replica_url']",
            A_URL,
        ),
        (
            by_hand(litestream_poll_interval="often"),
            "['OPTIONS']['litestream_poll_interval']",
            f"{DURATION} 'often'.",
        ),
        (
            by_hand(litestream_route="no"),
            "['OPTIONS']['litestream_route']",
            "expected True or False, got 'no'.",
        ),
        (
            {**by_hand(), "TEST": {"MIRROR": ["default"]}},
            "['TEST']['MIRROR']",
            "expected a database alias, got <class 'list'>.",
        ),
    ],
)
def test_an_entry_by_hand_is_checked(
    entry: dict[str, Any], key: str, expected: str
) -> None:
    with pytest.raises(ImproperlyConfigured) as raised:
        Replica.from_database("replica", entry)
    message = str(raised.value)
    place = f"settings.DATABASES['replica']{key} is improperly configured: "
    assert message.startswith(f"{place}{expected}")
    assert "hunter2" not in message


def test_a_duration_by_hand_is_one_as_in_the_settings() -> None:
    replica = Replica.from_database("replica", by_hand(litestream_poll_interval="1m"))
    assert replica.poll_interval == 60.0


def test_the_settings_are_those_of_the_calling_module() -> None:
    module: dict[str, Any] = {"LITESTREAM": {"vfs": {"here": URL}}}
    program = "from django_litestream import get_vfs_databases as get; found = get()"
    exec(program, module)
    assert list(module["found"]) == ["here"]
    with pytest.raises(ImproperlyConfigured, match="define LITESTREAM above it, or"):
        exec(program, {})
    assert get_vfs_databases({}) == {}


def test_defaults_of_what_all_replicas_share() -> None:
    with override_settings(LITESTREAM={}):
        assert not conf.app_settings.vfs
        assert conf.app_settings.pin_seconds == 15
        assert conf.app_settings.vfs_eager is False
    with override_settings(LITESTREAM={"vfs": {"a": URL, "pin_seconds": 2}}):
        assert conf.app_settings.vfs == (Replica(alias="a", url=URL),)
        assert conf.app_settings.pin_seconds == 2
        assert conf.app_settings.vfs[0].max_lag_seconds == 60


def test_a_poller_counts_as_wedged_after_three_intervals_or_five_seconds() -> None:
    assert Replica(alias="a", url=URL).reopen_after == 5
    assert Replica(alias="a", url=URL, poll_interval=10).reopen_after == 30
    assert Replica(alias="a", url=URL, poll_interval=30).reopen_after == 60


@pytest.mark.parametrize(
    ("poll_interval", "limit", "expected"),
    [(1, 2, 2), (10, 5, 11), (10, 20, 20), (1, 60, 5), (40, None, 120)],
)
def test_no_poll_older_than_may_be_is_gone_on_with(
    poll_interval: float, limit: float | None, expected: float
) -> None:
    replica = Replica(
        alias="a", url=URL, poll_interval=poll_interval, max_lag_seconds=limit
    )
    assert replica.reopen_after == expected
