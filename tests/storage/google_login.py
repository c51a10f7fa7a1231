"""Google's login for a service account, and its storage by Google's own host."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, ClassVar
from urllib.parse import parse_qs

from ..forward_proxy import proxying
from ..project import PATIENCE
from ..release_server import in_background
from .kinds import CONTAINER, GcsKind
from .servers import FakeGcs, TlsServer

ACCOUNT = "backup@tests.iam.gserviceaccount.com"


def openssl(
    *words: str | Path, reads: bytes = b""
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        ["openssl", *words],
        input=reads,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )


class TlsGcs(TlsServer, FakeGcs):
    """Has its clients look for it as the host that Google has for all storage."""

    HOST: ClassVar[str] = "storage.googleapis.com"

    def _public(self) -> Sequence[str | Path]:
        return [
            *("-scheme", "https", "-public-host", self.HOST),
            *("-cert-location", self.certificate, "-private-key-location", self._key),
        ]


@dataclass(kw_only=True)
class Login:
    """Gives a token to who signs with the key of ``ACCOUNT``; notes who asked."""

    directory: Path
    url: str
    asked: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._make_key(self._key)
        public = openssl("pkey", "-in", self._key, "-pubout", "-out", self._public)
        assert public.returncode == 0, public.stderr

    @property
    def _key(self) -> Path:
        return self.directory / "account.key"

    @property
    def _public(self) -> Path:
        return self._key.with_suffix(".pub")

    def account(self, *, with_right_key: bool = True) -> Path:
        """Write what Google gives its users for an account."""
        key = self._key
        if not with_right_key:
            key = self.directory / "another.key"
            self._make_key(key)
        file = key.with_suffix(".json")
        content = {
            "type": "service_account",
            "project_id": "tests",
            "private_key_id": "1",
            "private_key": key.read_text(),
            "client_email": ACCOUNT,
            "client_id": "1",
            "token_uri": self.url,
        }
        file.write_text(json.dumps(content))
        return file

    def accepts(self, assertion: str) -> bool:
        """Whether a signed claim, a JSON Web Token, is of the account."""
        signed, _, signature = assertion.rpartition(".")
        self.asked.append(json.loads(_decoded(signed.partition(".")[2]))["iss"])
        file = self.directory / f"signature-{len(self.asked)}"
        file.write_bytes(_decoded(signature))
        verified = openssl(
            *("dgst", "-sha256", "-verify", self._public, "-signature", file),
            reads=signed.encode(),
        )
        return verified.returncode == 0

    @staticmethod
    def _make_key(file: Path) -> None:
        made = openssl("genpkey", "-algorithm", "RSA", "-out", file)
        assert made.returncode == 0, made.stderr


def _decoded(part: str) -> bytes:
    return base64.urlsafe_b64decode(part + "==")


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    login: Login


class _Handler(BaseHTTPRequestHandler):
    server: _Listener

    def do_POST(self) -> None:
        form = parse_qs(self.rfile.read(int(self.headers["Content-Length"])).decode())
        if self.server.login.accepts(form["assertion"][0]):
            status = HTTPStatus.OK
            said = {"access_token": "1", "expires_in": 3600, "token_type": "Bearer"}
        else:
            status = HTTPStatus.BAD_REQUEST
            said = {
                "error": "invalid_grant",
                "error_description": "Invalid JWT Signature.",
            }
        body = json.dumps(said).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests look at ``asked``."""


@contextmanager
def logging_in(directory: Path) -> Iterator[Login]:
    """Have the login run for the block."""
    directory.mkdir()
    with _Listener(("127.0.0.1", 0), _Handler) as listener:
        listener.login = Login(
            directory=directory, url=f"http://127.0.0.1:{listener.server_port}/token"
        )
        with in_background(listener):
            yield listener.login


class GoogleKind(GcsKind):
    """Google's storage where one has to log in."""

    variables: ClassVar[Mapping[str, str]] = {
        "service-account": "GOOGLE_APPLICATION_CREDENTIALS"
    }
    _proxy_url: str = ""

    @cached_property
    def server(self) -> TlsGcs:
        return TlsGcs(self.directory, bucket=CONTAINER)

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HTTPS_PROXY": self._proxy_url,
            "SSL_CERT_FILE": str(self.server.certificate),
        }

    @contextmanager
    def way(self) -> Iterator[None]:
        with proxying() as proxy:
            proxy.ports = {TlsGcs.HOST: self.server.port}
            self._proxy_url = proxy.url
            yield
