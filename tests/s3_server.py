"""A real S3 server on loopback that checks signatures: rclone's."""

from __future__ import annotations

import socket
import subprocess
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import quote

from .project import PATIENCE, stop, wait_until

# rclone refuses keys that are shorter than Amazon's.
ACCESS_KEY = "ACCESSKEYOFTHETESTS1"
SECRET_KEY = "SecretKeyOfTheTests1"

BUCKET = "bucket"

_RCLONE = (Path(sys.executable).with_name("rclone"), "--config", "/dev/null")


@dataclass
class S3Server:
    """A server with one bucket, kept in ``directory`` from one start to the next."""

    directory: Path
    port: int = field(default_factory=lambda: free_port())
    _process: subprocess.Popen[bytes] | None = None

    def __post_init__(self) -> None:
        (self.directory / BUCKET).mkdir(parents=True, exist_ok=True)

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def environ(self) -> dict[str, str]:
        """What Litestream has to be started with to be let in."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY}

    def url(self, path: str, bucket: str = BUCKET) -> str:
        """Return the URL of the replica at ``path``."""
        endpoint = quote(self.endpoint, safe="")
        return f"s3://{bucket}/{path}?endpoint={endpoint}&region=us-east-1"

    def replica(self, path: str) -> dict[str, Any]:
        """Return the replica at ``path`` as ``LITESTREAM['dbs']`` takes it."""
        return {
            "type": "s3",
            "bucket": BUCKET,
            "path": path,
            "endpoint": self.endpoint,
            "region": "us-east-1",
            "force-path-style": True,
            "sync-interval": "100ms",
        }

    def upload(self, files: Iterable[Path], path: str) -> None:
        """Put files where the server knows of them, which a copy there is not at once."""
        login = ["--s3-access-key-id", ACCESS_KEY, "--s3-secret-access-key", SECRET_KEY]
        server = ["--s3-provider", "Other", "--s3-endpoint", self.endpoint]
        for file in files:
            where = f":s3:{BUCKET}/{path}/{file.name}"
            to: list[str | Path] = [*login, *server, file, where]
            subprocess.run([*_RCLONE, "copyto", *to], check=True, timeout=PATIENCE)

    def start(self) -> None:
        command: list[str | Path] = [*_RCLONE, "serve", "s3"]
        command += ["--addr", f"127.0.0.1:{self.port}"]
        command += ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
        command += ["--vfs-read-wait", "1ms", self.directory]
        self._process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        wait_until(self.answers)

    def stop(self) -> None:
        if self._process is not None:
            stop(self._process)
            self._process = None

    def answers(self) -> bool:
        try:
            socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
        except OSError:
            return False
        return True


@contextmanager
def s3_server(directory: Path) -> Iterator[S3Server]:
    """Have a server run for the block."""
    server = S3Server(directory)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        port: int = listening.getsockname()[1]
        return port
