"""The site set up in a world of replicas, and served by gunicorn."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

from ..project import stop, wait_until
from ..replica_world import ReplicaWorld, replica_world
from ..s3_server import free_port

_SETTINGS = f"""\
ROOT_URLCONF = "{__package__}.urls"
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]
MIDDLEWARE = ["django_litestream.middleware.LitestreamMiddleware"]
"""


def make_site(world: ReplicaWorld, *routers: str) -> None:
    """Have the world's project route its reads, by further routers too."""
    world.more_settings = _SETTINGS + f"DATABASE_ROUTERS += {list(routers)!r}\n"
    world.write_settings()


@contextmanager
def served(world: ReplicaWorld, *, workers: int, **environ: str) -> Iterator[str]:
    """Have gunicorn serve the site for the block; give its address."""
    port = free_port()
    address = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "gunicorn", "--preload"]
    command += ["--workers", str(workers), "--bind", f"127.0.0.1:{port}"]
    command += [f"{__package__}.wsgi"]
    with (world.directory / "gunicorn.log").open("ab") as log:
        server = subprocess.Popen(
            command,
            cwd=world.directory,
            env={
                **world.environment(),
                "DJANGO_SETTINGS_MODULE": "project_settings",
                **environ,
            },
            stdout=log,
            stderr=subprocess.STDOUT,
        )
    try:
        wait_until(lambda: _answers(address) or server.poll() is not None)
        assert server.poll() is None, gunicorn_log(world)
        yield address
    finally:
        stop(server)


def gunicorn_log(world: ReplicaWorld) -> str:
    return (world.directory / "gunicorn.log").read_text(errors="replace")


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/nothing", timeout=5) as answer:
            return bool(answer.status == 200)
    except (URLError, ConnectionError, TimeoutError):
        return False


@contextmanager
def replicated_site(directory: Path) -> Iterator[ReplicaWorld]:
    """Have a site with a replica and a note in it replicated for the block."""
    with replica_world(directory / "project") as made:
        make_site(made)
        made.write_note()
        with made.replicating():
            yield made
