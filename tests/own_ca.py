"""A certificate authority of one's own, made by OpenSSL."""

from __future__ import annotations

import shutil
import ssl
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

needs_openssl = pytest.mark.skipif(
    shutil.which("openssl") is None, reason="makes its certificates with openssl"
)

_NEW_KEY = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
_EXTENSIONS = """\
subjectAltName = IP:127.0.0.1, DNS:release.invalid
authorityKeyIdentifier = keyid
"""


@dataclass(frozen=True, kw_only=True)
class OwnCa:
    """The file of the CA's certificate, and TLS for a server that it vouches for."""

    file: Path
    server: ssl.SSLContext


def make(directory: Path) -> OwnCa:
    """Make a CA that vouches for 127.0.0.1 and release.invalid."""

    def openssl(*words: str) -> None:
        subprocess.run(
            ["openssl", *words],
            cwd=directory,
            check=True,
            capture_output=True,
            timeout=60,
        )

    (directory / "extensions").write_text(_EXTENSIONS)
    openssl(
        *("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=a CA of our own"),
        *("-addext", "keyUsage=critical,keyCertSign"),
        *("-keyout", "ca.key", "-out", "ca.pem"),
    )
    openssl(
        *("req", "-new", *_NEW_KEY, "-subj", "/CN=release.invalid"),
        *("-keyout", "server.key", "-out", "server.csr"),
    )
    openssl(
        *("x509", "-req", "-in", "server.csr", "-days", "2", "-extfile", "extensions"),
        *("-CA", "ca.pem", "-CAkey", "ca.key", "-CAcreateserial"),
        *("-out", "server.pem"),
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(directory / "server.pem", directory / "server.key")
    return OwnCa(file=directory / "ca.pem", server=server)
