"""A URL's content in a file, within a time that is kept whatever the server does."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import httpx

from .errors import DownloadError
from .progress import Report
from .redaction import redact_url
from .writing import write_bounded

_TRANSIENT_STATUSES = frozenset({408, 429})
_PROXY_VARIABLES = "HTTPS_PROXY, HTTP_PROXY, ALL_PROXY or NO_PROXY"


class _TransientError(DownloadError):
    """A failure that another attempt may not meet."""


def fetch(
    url: str,
    target: Path,
    limit: int,
    *,
    timeout: float,
    longest: float,
    delays: Sequence[float],
    report: Report,
    unreachable: str,
) -> None:
    """Write what ``url`` answers to ``target``, no more than ``limit`` bytes.

    ``timeout`` bounds connecting and each wait for data, ``longest`` everything
    together but the look-up of a name, which the system bounds; ``delays`` are waited
    before each further attempt after a server's error or a broken connection. All are
    in seconds. ``unreachable`` says what to do where nothing can be reached. Raises
    ``DownloadError`` where nothing came, ``ArtifactError`` for more than ``limit``
    bytes, ``OSError`` where ``target`` cannot be written.
    """
    shown = redact_url(url)
    with _client(timeout) as client, _watched(longest, shown) as watch:

        def attempt() -> None:
            with _failures_named(shown, watch, unreachable):
                _stream(client, url, target, limit, watch, report)

        for delay in delays:
            try:
                return attempt()
            except _TransientError:
                time.sleep(delay)
        attempt()


def _stream(
    client: httpx.Client,
    url: str,
    target: Path,
    limit: int,
    watch: _Watch,
    report: Report,
) -> None:
    shown = redact_url(url)
    with client.stream("GET", url, extensions={"trace": watch.trace}) as response:
        if not response.is_success:
            raise _refusal(shown, response.status_code)
        write_bounded(_chunks(response, report), target, limit, shown)


def _chunks(response: httpx.Response, report: Report) -> Iterator[bytes]:
    length = response.headers.get("Content-Length", "")
    whole = int(length) if length.isdecimal() else None
    done = 0
    for chunk in response.iter_raw():
        done += len(chunk)
        report(done, whole)
        yield chunk


def _refusal(shown: str, status: int) -> DownloadError:
    text = f"{shown}: HTTP {status}"
    if status >= 500 or status in _TRANSIENT_STATUSES:
        return _TransientError(f"{text}. Try again later.")
    match status:
        case 404 | 410:
            advice = "it does not have this version; correct the address of the mirror"
        case 407:
            advice = f"the proxy wants a name and a password in {_PROXY_VARIABLES}"
        case 401 | 403:
            advice = "it wants a name and a password, or refuses this machine"
        case _:
            advice = "that is no answer to a download; correct the address"
    return DownloadError(f"{text}: {advice}.")


class _Watch:
    """Cuts the connections of a client after a time, from a thread of its own.

    httpx bounds each wait, not their sum, which a server that sends a byte now and then
    draws out at will.
    """

    def __init__(self, seconds: float, shown: str) -> None:
        self._problem = f"{shown}: not whole after {seconds:.0f} s. Try again."
        self._over = threading.Event()
        self._streams: list[Any] = []
        self.peer = ""
        self.timer = threading.Timer(seconds, self._cut)
        self.timer.daemon = True

    def trace(self, event: str, info: Mapping[str, Any]) -> None:
        """Take note of what httpcore does; raise ``DownloadError`` after the time."""
        if event.endswith("connect_tcp.started"):
            self.peer = str(info["host"])
        if event.endswith(("connect_tcp.complete", "start_tls.complete")):
            self._streams.append(info["return_value"])
            if self._over.is_set():
                self._cut()
            # To raise here would leave the socket to nobody, and open.
            return
        self.require_time()

    def require_time(self) -> None:
        """Raise ``DownloadError`` after the time."""
        if self._over.is_set():
            raise DownloadError(self._problem)

    def _cut(self) -> None:
        self._over.set()
        for stream in list(self._streams):
            with suppress(OSError):
                # Not TLS's own shutdown, which is not for another thread.
                socket.socket.shutdown(
                    stream.get_extra_info("socket"), socket.SHUT_RDWR
                )


@contextmanager
def _watched(seconds: float, shown: str) -> Iterator[_Watch]:
    watch = _Watch(seconds, shown)
    watch.timer.start()
    try:
        yield watch
    finally:
        watch.timer.cancel()
        watch.timer.join()


def _client(timeout: float) -> httpx.Client:
    """Return a client that takes proxies and certificates from the environment."""
    try:
        return httpx.Client(
            follow_redirects=True,
            max_redirects=5,
            timeout=timeout,
            headers={"Accept-Encoding": "identity"},
        )
    except OSError as error:
        place = os.environ.get("SSL_CERT_FILE") or os.environ.get("SSL_CERT_DIR")
        raise DownloadError(
            f"No certificates can be read from {place}: {error.strerror}. Correct "
            "SSL_CERT_FILE or SSL_CERT_DIR."
        ) from error
    except (ValueError, ImportError, httpx.InvalidURL) as error:
        # Its message may hold the proxy's password.
        raise DownloadError(
            f"The proxy that the environment names cannot be used: correct "
            f"{_PROXY_VARIABLES} (http:// and https:// are known)."
        ) from error


@contextmanager
def _failures_named(shown: str, watch: _Watch, unreachable: str) -> Iterator[None]:
    """Turn what httpx raises into ``DownloadError``."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
        # What httpx says of an invalid one may hold a piece of a password.
        raise DownloadError(
            f"{shown!r} is no address to download from: give one that begins with "
            "http:// or https://, or a directory."
        ) from error
    except httpx.TooManyRedirects as error:
        raise DownloadError(
            f"{shown}: too many redirects. Correct the address."
        ) from error
    except httpx.ProxyError as error:
        text = _text(error)
        # Of a tunnel that a proxy could not make its answer is all there is.
        kind = _TransientError if text.startswith("5") else DownloadError
        raise kind(
            f"{shown}: the proxy {watch.peer} refused: {text}. Correct "
            f"{_PROXY_VARIABLES}. {unreachable}"
        ) from error
    except httpx.TransportError as error:
        watch.require_time()
        reason = f"{_text(error)}{_where(error, watch.peer, shown)}"
        if _is_about_tls(error):
            raise DownloadError(
                f"{shown}: {reason}. Where a proxy or a mirror has a certificate of "
                "your own CA, name the CA's file in SSL_CERT_FILE."
            ) from error
        connecting = isinstance(error, httpx.ConnectError | httpx.ConnectTimeout)
        advice = unreachable if connecting else "Try again."
        raise _TransientError(f"{shown}: {reason}. {advice}") from error


def _text(error: httpx.TransportError) -> str:
    return str(error).rstrip(".") or type(error).__name__


def _where(error: httpx.TransportError, peer: str, shown: str) -> str:
    """Say who it was that failed, where it is not the host of ``shown``."""
    host = error.request.url.raw_host.decode()
    if peer and peer != host:
        return f" (through the proxy {peer})"
    return "" if host in shown else f" (at {host})"


def _is_about_tls(error: httpx.TransportError) -> bool:
    """Whether TLS was refused, and the connection not just cut."""
    return isinstance(error, httpx.ConnectError) and any(
        isinstance(cause, ssl.SSLError) and not isinstance(cause, ssl.SSLEOFError)
        for cause in _causes(error)
    )


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__
