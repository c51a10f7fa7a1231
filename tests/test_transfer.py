"""What the servers on a network can do to a download."""

from __future__ import annotations

import socket
import time
from pathlib import Path

import pytest

from django_litestream.errors import ArtifactError, DownloadError

from .downloads import (
    GOOD,
    NO_WAY_OUT,
    ROW,
    assert_in_place,
    assert_nothing_left,
    failure,
    fetch,
    unused_port,
)
from .release_server import Answer, ReleaseServer

pytestmark = pytest.mark.usefixtures("no_network_settings")


def test_redirects_are_followed(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(status=302, location="/elsewhere"), Answer(body=GOOD))
    fetch(server.url, destination)
    assert_in_place(destination)
    assert server.asked[1:] == ["/elsewhere"]


def test_a_redirect_loop_ends(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(status=302, location="/again"))
    assert (
        failure(server.url, destination) == "too many redirects. Correct the address."
    )
    assert len(server.asked) < 10


@pytest.mark.parametrize("failing", [1, 2])
@pytest.mark.parametrize("status", [500, 503, 429])
def test_server_errors_are_tried_again(
    server: ReleaseServer, destination: Path, failing: int, status: int
) -> None:
    server.says(*[Answer(status=status)] * failing, Answer(body=GOOD))
    fetch(server.url, destination)
    assert_in_place(destination)


def test_a_broken_connection_is_tried_again(
    server: ReleaseServer, destination: Path
) -> None:
    cut = Answer(body=GOOD[: len(GOOD) // 2], length=len(GOOD))
    server.says(cut, Answer(body=GOOD))
    fetch(server.url, destination)
    assert_in_place(destination)


@pytest.mark.parametrize(
    ("answer", "asked", "message"),
    [
        (Answer(status=503), 3, "HTTP 503. Try again later."),
        (
            Answer(status=404),
            1,
            "HTTP 404: it does not have this version; correct the address of the "
            "mirror.",
        ),
        (
            Answer(status=403),
            1,
            "HTTP 403: it wants a name and a password, or refuses this machine.",
        ),
        (
            Answer(status=304),
            1,
            "HTTP 304: that is no answer to a download; correct the address.",
        ),
    ],
    ids=["503", "404", "403", "304"],
)
def test_what_a_server_refuses(
    server: ReleaseServer, destination: Path, answer: Answer, asked: int, message: str
) -> None:
    server.says(answer)
    assert failure(server.url, destination) == message
    assert len(server.asked) == asked


def test_a_body_that_is_cut_short(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=GOOD[:-9], length=len(GOOD)))
    message = failure(server.url, destination)
    assert message.startswith("peer closed connection without sending complete message")
    assert message.endswith(". Try again.")
    assert len(server.asked) == 3


def test_a_server_that_stalls(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=GOOD[:9], length=len(GOOD), stalls=True))
    message = failure(server.url, destination, timeout=0.3)
    assert message == "timed out. Try again."
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    "answer",
    [
        Answer(drips="header"),
        Answer(drips="body", length=1000),
        Answer(drips="body", length=-1),
    ],
    ids=["header", "body", "body without a length"],
)
def test_a_server_that_sends_a_byte_now_and_then(
    server: ReleaseServer, destination: Path, answer: Answer
) -> None:
    """No wait is long, and httpx would take the bytes for ever."""
    server.says(answer)
    started = time.monotonic()
    message = failure(server.url, destination, longest=1.0, delays=())
    assert message == "not whole after 1 s. Try again."
    assert time.monotonic() - started < 30
    assert len(server.asked) == 1


def test_redirects_that_each_take_a_while(
    server: ReleaseServer, destination: Path
) -> None:
    server.says(Answer(status=500))
    message = failure(server.url, destination, longest=1.0, delays=[0.1] * 10_000)
    assert message == "not whole after 1 s. Try again."


def test_a_server_that_accepts_and_says_nothing(destination: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DownloadError, match=r"timed out\. Try again\.$"):
            fetch(url, destination, timeout=0.2)
    assert_nothing_left(destination)


def test_a_handshake_that_never_ends(destination: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"https://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DownloadError, match="timed out"):
            fetch(url, destination, timeout=0.2)


def test_nobody_listens(server: ReleaseServer, destination: Path) -> None:
    url = f"http://127.0.0.1:{unused_port()}"
    message = failure(url, destination)
    assert "refused" in message
    assert message.endswith(f". {NO_WAY_OUT}")


def test_a_name_that_is_not_known(server: ReleaseServer, destination: Path) -> None:
    message = failure("http://release.invalid", destination)
    assert message.endswith(f". {NO_WAY_OUT}")


def test_a_redirect_to_where_nobody_listens(
    server: ReleaseServer, destination: Path
) -> None:
    """A firewall that lets the release through need not let its storage through."""
    location = f"http://localhost:{unused_port()}/"
    server.says(Answer(status=302, location=location))
    assert "refused (at localhost). If this" in failure(server.url, destination)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1",
        "file:///srv",
        "http://u:hidden#3@127.0.0.1",
        "https://",
        "http://two..dots",
        "http://new\nline",
    ],
)
def test_an_address_that_is_none(destination: Path, url: str) -> None:
    started = time.monotonic()
    with pytest.raises(DownloadError, match="is no address to download") as caught:
        fetch(url, destination, delays=[60])
    assert time.monotonic() - started < 30
    assert "hidden" not in str(caught.value)
    assert "\n" not in str(caught.value)


def test_passwords_in_the_address_are_not_shown(
    server: ReleaseServer, destination: Path
) -> None:
    url = server.url.replace("//", "//user:hidden@") + "/?token=hidden"
    for answer in (Answer(status=404), Answer(body=b"no archive")):
        server.says(answer)
        with pytest.raises((DownloadError, ArtifactError)) as caught:
            fetch(url, destination)
        shown = f"//user:***@127.0.0.1:{server.port}/v1/{ROW.asset}?token=***"
        assert shown in str(caught.value)
        assert "hidden" not in str(caught.value)
        assert server.asked[-1] == f"/v1/{ROW.asset}?token=hidden"
