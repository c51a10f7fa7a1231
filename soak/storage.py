"""The S3 server of the tests, which can be killed and frozen."""

from __future__ import annotations

import signal

from tests.s3_server import S3Server


class MortalS3Server(S3Server):
    def kill(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait()

    def freeze(self) -> None:
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
