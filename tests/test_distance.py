"""What is known of how long ago a daemon cut, and how long a replica lacks what it did."""

from __future__ import annotations

import math
import time
from datetime import UTC, datetime, timedelta

import pytest

from django_litestream.control import Cut
from django_litestream.distance import Cuts, Distance, Look

from .project import PATIENCE


def cut(seconds_ago: float, *, error: str = "") -> Cut:
    began_at = datetime.now(UTC) - timedelta(seconds=seconds_ago)
    return Cut(began_at=began_at, is_over=True, error=error)


def test_a_last_cut_from_before_the_process_is_as_old_as_the_clock_says() -> None:
    cuts = Cuts()
    for look, seconds in (
        (Look(problem="silent"), math.inf),
        (Look(cut=cut(0, error="disk full")), math.inf),
        (Look(cut=cut(90)), 90),
        (Look(problem="silent"), 90),
        (Look(cut=cut(-90)), 0),
        (None, 0),
    ):
        cuts.note(look)
        assert cuts.seconds == pytest.approx(seconds, abs=5)


def test_what_no_transaction_has_come_of_is_as_old_as_the_look_before() -> None:
    cuts = Cuts()
    for look, is_uncut in (
        (Look(txid=1, cut=cut(0), written_at=1), False),
        (Look(txid=1, cut=cut(0), written_at=1), False),
        (Look(txid=1, cut=cut(0), written_at=2), True),
        (Look(txid=1, cut=cut(0), written_at=2), True),
        (Look(problem="silent"), True),
        (Look(txid=2, cut=cut(0), written_at=2), False),
        (Look(txid=2, cut=cut(0), written_at=None), True),
        (None, False),
    ):
        time.sleep(0.01)
        cuts.note(look)
        assert (cuts.uncut_seconds > 0) is is_uncut


def test_what_was_cut_unseen_is_as_old_as_the_look_before() -> None:
    cuts, distance = Cuts(), Distance()
    distance.note(1, cuts.note(Look(txid=1, cut=cut(0))))
    assert distance.seconds(0) < 0.4
    time.sleep(0.5)
    distance.note(2, cuts.note(Look(txid=2, cut=cut(0))))
    assert distance.seconds(1) >= 0.5
    assert distance.seconds(2) == 0


def test_what_was_there_at_the_first_look_may_have_been_lacking_for_ever() -> None:
    distance = Distance()
    assert distance.is_caught_up(0)
    distance.note(5, 0)
    assert [distance.is_caught_up(txid) for txid in (4, 5)] == [False, True]
    # What comes later does not have to be reached as well.
    distance.note(6, time.monotonic())
    assert distance.is_caught_up(5)
    assert distance.seconds(5) < 5


def test_a_lower_transaction_begins_another_life() -> None:
    distance = Distance()
    distance.note(50, 0)
    distance.note(60, 0)
    distance.note(3, time.monotonic())
    assert [distance.is_caught_up(txid) for txid in (2, 3)] == [False, True]
    assert distance.seconds(3) == 0


def test_of_too_many_transactions_none_is_made_younger() -> None:
    distance = Distance()
    for txid in range(1, 10_000):
        distance.note(txid, txid)
    assert len(distance._ahead) < 5_000
    assert distance.seconds(9_998) >= time.monotonic() - 9_999 - PATIENCE
    assert distance.seconds(9_999) == 0
