"""Proxies and certificates, which a download takes from the environment."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from .downloads import (
    GOOD,
    NO_WAY_OUT,
    assert_in_place,
    failure,
    fetch,
    unused_port,
)
from .forward_proxy import proxying
from .own_ca import OwnCa, make, needs_openssl
from .release_server import Answer, ReleaseServer, serving

pytestmark = pytest.mark.usefixtures("no_network_settings")


@pytest.fixture(scope="module")
def ca(tmp_path_factory: pytest.TempPathFactory) -> OwnCa:
    return make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def tls_server(ca: OwnCa) -> Iterator[ReleaseServer]:
    with serving(ca.server) as started:
        started.says(Answer(body=GOOD))
        yield started


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
    ("scheme", "status", "asked", "message"),
    [
        ("http", 407, 1, "HTTP 407: the proxy wants a name and a password in HTTPS_"),
        ("https", 407, 1, "the proxy 127.0.0.1 refused: 407 Proxy Authentication Req"),
        ("https", 403, 1, "the proxy 127.0.0.1 refused: 403 Forbidden. Correct HTTPS"),
        ("https", 502, 3, "the proxy 127.0.0.1 refused: 502 Bad Gateway. Correct HTT"),
    ],
)
def test_a_proxy_that_refuses(
    server: ReleaseServer,
    destination: Path,
    scheme: str,
    status: int,
    asked: int,
    message: str,
) -> None:
    with proxying(release=server.port) as proxy:
        proxy.refusal = status
        os.environ[f"{scheme.upper()}_PROXY"] = proxy.url
        said = failure(f"{scheme}://release.invalid", destination)
    assert said.startswith(message)
    assert said.endswith(NO_WAY_OUT) == (scheme == "https")
    assert len(proxy.asked) == asked


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


@needs_openssl
@pytest.mark.parametrize("through_proxy", [False, True], ids=["straight", "tunnelled"])
def test_a_tls_server_that_sends_a_byte_now_and_then(
    tls_server: ReleaseServer, ca: OwnCa, destination: Path, through_proxy: bool
) -> None:
    os.environ["SSL_CERT_FILE"] = str(ca.file)
    tls_server.says(Answer(drips="body", length=1000))
    started = time.monotonic()
    with proxying(release=tls_server.port) as proxy:
        url = tls_server.url
        if through_proxy:
            os.environ["HTTPS_PROXY"] = proxy.url
            url = "https://release.invalid/v1"
        message = failure(url, destination, longest=1.0)
    assert message == "not whole after 1 s. Try again."
    assert time.monotonic() - started < 30
