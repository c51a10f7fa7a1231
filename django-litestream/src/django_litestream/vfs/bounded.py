"""Reading in bounded time from a storage that may not answer.

A read of a page that is not cached waits for the storage, and nothing can stop it. It
can be left alone in a thread of its own.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future

# A read that takes longer (in seconds) has fetched pages, or may have: what is cached
# takes a hundredth of this, even right after a snapshot was begun.
_QUICK = 0.02

# How many reads in a row have to be quick for the next to be believed to be.
_QUICK_IN_A_ROW = 50


class Waiting:
    """Tells whether the reads of a connection are likely to wait for the storage.

    They are while its cache is cold. A thread for each read costs as much as a read of
    what is cached.
    """

    def __init__(self) -> None:
        self._left = _QUICK_IN_A_ROW

    @property
    def is_likely(self) -> bool:
        """Whether one of the last reads took long, or there were few."""
        return self._left > 0

    def note(self, seconds: float) -> None:
        """Take into account how long a read has taken."""
        if seconds > _QUICK:
            self._left = _QUICK_IN_A_ROW
        elif self._left:
            self._left -= 1


def run_bounded[T](
    read: Callable[[], T], timeout: float, may_go_on: Callable[[], bool]
) -> T:
    """Return what ``read`` returns, or raise what it raises.

    After each ``timeout`` seconds ``may_go_on`` is asked; raises ``TimeoutError`` once
    it may not. ``read`` then goes on in its thread: what it uses must not be used by
    anybody else.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(read())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="litestream-read", daemon=True).start()
    while True:
        try:
            return future.result(timeout)
        except TimeoutError:
            if not (future.done() or may_go_on() or future.done()):
                raise


def timed[T](read: Callable[[], T], waiting: Waiting) -> T:
    """Return what ``read`` returns, and have noted how long it took."""
    begun = time.monotonic()
    result = read()
    waiting.note(time.monotonic() - begun)
    return result
