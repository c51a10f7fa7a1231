"""Reads that are given up where the storage is away, and those that are not."""

from __future__ import annotations

import threading
import time

import pytest

from django_litestream.vfs.bounded import Waiting, run_bounded, timed


def test_a_read_may_take_as_long_as_its_storage_is_there() -> None:
    asked = []

    def may_go_on() -> bool:
        asked.append(True)
        return True

    def read() -> str:
        time.sleep(0.3)
        return "rows"

    assert run_bounded(read, 0.05, may_go_on) == "rows"
    assert asked


def test_a_read_is_left_alone_once_its_storage_is_away() -> None:
    is_over, has_ended = threading.Event(), threading.Event()

    def read() -> None:
        is_over.wait()
        has_ended.set()

    with pytest.raises(TimeoutError):
        run_bounded(read, 0.05, lambda: False)
    assert not has_ended.is_set()
    is_over.set()
    assert has_ended.wait(60)


def test_what_a_read_raises_is_raised() -> None:
    def fail() -> None:
        raise LookupError("no such row")

    with pytest.raises(LookupError, match="no such row"):
        run_bounded(fail, 60, lambda: True)


def test_reads_are_believed_to_be_quick_after_many_that_were() -> None:
    waiting = Waiting()
    assert waiting.is_likely
    for _ in range(50):
        assert waiting.is_likely
        timed(lambda: None, waiting)
    assert not waiting.is_likely
    timed(lambda: time.sleep(0.05), waiting)
    assert waiting.is_likely
