"""Reading in bounded time from a storage that may not answer.

A read of a page that is not cached waits for the storage, and nothing can stop it. It
can be left alone in a thread of its own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import Future


def run_bounded[T](read: Callable[[], T], timeout: float) -> T:
    """Return what ``read`` returns, or raise what it raises.

    Raises ``TimeoutError`` after ``timeout`` seconds. ``read`` then goes on in its
    thread: what it uses must not be used by anybody else.
    """
    future: Future[T] = Future()

    def work() -> None:
        try:
            future.set_result(read())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=work, name="litestream-read", daemon=True).start()
    return future.result(timeout)
