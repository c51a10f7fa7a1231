"""Whatever is given for a moment is one of the past, or a ``ValueError``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from django.test import override_settings
from hypothesis import example, given
from hypothesis import strategies as st

from django_litestream.moments import as_moment

from .nonsense import one_line, texts


class _Naive(tzinfo):
    """A time zone that does not know its offset, which Python calls naive."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return None

    def dst(self, moment: datetime | None) -> None:
        return None

    def tzname(self, moment: datetime | None) -> None:
        return None


class _Extreme(_Naive):
    """One as far from UTC as Python lets a time zone be."""

    def utcoffset(self, moment: datetime | None) -> timedelta | None:
        return timedelta(hours=24) - timedelta(microseconds=1)


zones = st.one_of(
    st.none(),
    st.timezones(),
    st.builds(
        timezone,
        st.timedeltas(
            min_value=-timedelta(hours=23, minutes=59),
            max_value=timedelta(hours=23, minutes=59),
        ),
    ),
    st.sampled_from([UTC, _Naive(), _Extreme()]),
)
datetimes = st.one_of(
    st.datetimes(timezones=zones),
    st.builds(
        datetime.replace, st.sampled_from([datetime.min, datetime.max]), tzinfo=zones
    ),
)
numbers = st.one_of(
    st.integers(min_value=0).map(str),
    st.floats(min_value=0).map(str),
    st.text("0123456789.", max_size=30),
    st.text(st.characters(categories=["Nd"]), max_size=5),
    st.just("9" * 400),
)
times_ago = st.builds(
    "{}{}{}{}ago".format,
    numbers,
    st.sampled_from(["", " ", "\n"]),
    st.sampled_from(["s", "seconds", "min", "hour", "Days", "weeks", "year", "\u017f"]),
    st.sampled_from(["", " ", "  ", "\u2003"]),
)
iso_times = st.one_of(
    datetimes.map(datetime.isoformat),
    st.builds("{}{}".format, datetimes.map(datetime.isoformat), texts),
    st.text("0123456789-:TWZ+. ", max_size=32),
)


def check(when: datetime | timedelta | str) -> None:
    before = datetime.now(UTC)
    try:
        moment = as_moment(when)
    except ValueError as error:
        one_line(error)
        return
    assert moment.tzinfo is UTC
    assert moment <= datetime.now(UTC)
    # What has no time zone is in Django's.
    if isinstance(when, timedelta):
        assert before - when <= moment <= datetime.now(UTC) - when
    elif isinstance(when, datetime) and when.utcoffset() is not None:
        # A time in an hour that comes twice equals none of another zone.
        assert moment == when.astimezone(UTC)


@given(datetimes, st.timezones())
@example(datetime.min.replace(tzinfo=timezone(timedelta(hours=14))), ZoneInfo("UTC"))
@example(datetime.max.replace(tzinfo=timezone(-timedelta(hours=14))), ZoneInfo("UTC"))
@example(datetime.min, ZoneInfo("Asia/Tokyo"))
@example(datetime.max, ZoneInfo("America/New_York"))
@example(datetime(2020, 1, 1, tzinfo=_Naive()), ZoneInfo("UTC"))
def test_any_datetime(when: datetime, current: ZoneInfo) -> None:
    with override_settings(TIME_ZONE=current.key):
        check(when)


@given(st.timedeltas())
@example(timedelta.max)
@example(timedelta.min)
def test_any_time_ago(when: timedelta) -> None:
    check(when)


@given(st.one_of(texts, times_ago, iso_times))
@example("99999999999999999999 weeks ago")
@example("9" * 400 + " s ago")
@example("0001-01-01T00:00:00+14:00")
@example("9999-12-31T23:59:59-14:00")
@example("x" * 1_000_000)
def test_any_text(when: str) -> None:
    check(when)


@given(st.floats(min_value=0, max_value=1e6), st.sampled_from(["s", "minutes"]))
def test_a_time_ago_is_as_long_ago_as_it_says(number: float, unit: str) -> None:
    length = timedelta(seconds=number) * (1 if unit == "s" else 60)
    before = datetime.now(UTC)
    moment = as_moment(f"{number:f} {unit} ago")
    # The text has six digits of the fraction.
    slack = timedelta(seconds=1)
    assert before - length - slack <= moment <= datetime.now(UTC) - length + slack
