"""One question to a daemon for all who ask at the same time, and never an older answer."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from django_litestream.write_txids import SharedCall

from .project import PATIENCE, wait_until


def threads_in(function: Callable[..., Any]) -> int:
    """Return how many threads are in a function now."""

    def is_in(frame: Any) -> bool:
        while frame is not None:
            if frame.f_code is function.__code__:
                return True
            frame = frame.f_back
        return False

    return sum(map(is_in, sys._current_frames().values()))


def test_who_asks_together_is_answered_by_one_call() -> None:
    begun: list[int] = []
    may_end = threading.Event()

    def call() -> int:
        begun.append(len(begun))
        assert may_end.wait(PATIENCE)
        return begun[-1]

    shared = SharedCall(call)
    with ThreadPoolExecutor(11) as threads:
        first = threads.submit(shared)
        wait_until(lambda: begun)
        # They ask in the middle of the first call, so that is not theirs.
        others = [threads.submit(shared) for _ in range(10)]
        wait_until(lambda: threads_in(Future.result) == 9)
        assert begun == [0]
        may_end.set()
        assert first.result() == 0
        assert [other.result() for other in others] == [1] * 10
    assert begun == [0, 1]


def test_no_answer_is_of_a_call_that_began_before_the_commit() -> None:
    committed = 0
    calls = 0
    counting = threading.Lock()

    def call() -> int:
        nonlocal calls
        calls += 1
        found = committed
        # What is committed from here on is not in the answer.
        time.sleep(0.001)
        return found

    shared = SharedCall(call)

    def commit_and_ask(number: int) -> bool:
        nonlocal committed
        with counting:
            committed += 1
            mine = committed
        return shared() >= mine

    with ThreadPoolExecutor(16) as threads:
        assert all(threads.map(commit_and_ask, range(2_000)))
    assert calls < 1_000


def test_what_goes_wrong_is_told_to_all_and_the_next_call_is_a_new_one() -> None:
    outcomes: list[Exception | int] = [OSError("gone"), 7]

    def call() -> int:
        outcome = outcomes.pop(0)
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    shared = SharedCall(call)
    with pytest.raises(OSError, match="gone"):
        shared()
    assert shared() == 7
