"""How many connections to a replica the requests of a server open."""

from __future__ import annotations

import asyncio
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.request import urlopen

from tests.project import stop, wait_until

from .replicated_project import REPLICA, ReplicatedProject
from .results import Table, Target

REQUESTS = 100

Ask = Callable[[str], dict[str, Any]]


@dataclass(frozen=True, kw_only=True)
class Openings:
    """Connections through the VFS that were opened.

    ``before``: until every thread of the server had read from the replica, with that
    of the health watcher. ``by_requests``: by the ``REQUESTS`` after that, of which
    ``from_replica`` were answered from the replica.
    """

    before: int
    by_requests: int
    from_replica: int


def count_openings(ask: Ask, clients: int = 1) -> Openings:
    """Count with as many clients at once as the server has threads."""
    with ThreadPoolExecutor(clients) as threads:

        def read_from_replica(path: str, requests: int) -> int:
            answers = threads.map(ask, [path] * requests)
            return [answer["alias"] for answer in answers].count(REPLICA)

        together = f"/together/{clients}/"
        wait_until(lambda: read_from_replica(together, clients) == clients)
        before = ask("/")["opened"]
        from_replica = read_from_replica("/", REQUESTS)
    return Openings(
        before=before,
        by_requests=ask("/")["opened"] - before,
        from_replica=from_replica,
    )


@contextmanager
def gunicorn(project: ReplicatedProject, threads: int) -> Iterator[Ask]:
    """Serve ``benchmarks.served`` by one worker process."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--log-level", "warning"),
                *("--bind", f"fd://{listener.fileno()}"),
                *("--threads", str(threads)),
                "benchmarks.served:application",
            ],
            cwd=project.directory,
            env={
                **project.environment(),
                "DJANGO_SETTINGS_MODULE": "project_settings",
            },
            pass_fds=[listener.fileno()],
        )
        try:
            yield asking(listener.getsockname()[1])
        finally:
            stop(server)


def asking(port: int) -> Ask:
    def ask(path: str) -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=60) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    return ask


def count_openings_of_runserver() -> Openings:
    """Count in this process, by the server of ``manage.py runserver``."""
    from django.core.servers import basehttp

    from .served import application

    class Quiet(basehttp.WSGIRequestHandler):
        def log_message(self, *message: Any) -> None:
            pass

    server = basehttp.ThreadedWSGIServer(("127.0.0.1", 0), Quiet)
    server.set_app(application)
    serving = threading.Thread(target=server.serve_forever)
    serving.start()
    try:
        return count_openings(asking(server.server_port))
    finally:
        server.shutdown()
        server.server_close()
        serving.join()


def count_openings_of_asgi() -> Openings:
    """Count in this process, by what a server of ASGI calls."""
    from asgiref.testing import ApplicationCommunicator
    from django.core.asgi import get_asgi_application

    application = get_asgi_application()
    headers = {"method": "GET", "headers": [], "query_string": b""}

    async def request(path: str) -> dict[str, Any]:
        scope = {"type": "http", "path": path, **headers}
        communicator: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request"})
        await communicator.receive_output(timeout=60)
        body = await communicator.receive_output(timeout=60)
        await communicator.wait()
        answer: dict[str, Any] = json.loads(body["body"])
        return answer

    with asyncio.Runner() as runner:
        return count_openings(lambda path: runner.run(request(path)))


def measure(project: ReplicatedProject) -> Iterator[Target | Table]:
    found: dict[str, Openings] = {}
    for name, threads in (("one thread", 1), ("four threads", 4)):
        with gunicorn(project, threads) as ask:
            found[f"gunicorn, {name}"] = count_openings(ask, threads)
    with project.process() as call:
        found["runserver, a thread for each connection"] = call(
            count_openings_of_runserver
        )
    with project.process() as call:
        found["ASGI, a thread for each request"] = call(count_openings_of_asgi)
    for name in list(found)[:2]:
        yield Target(
            what=f"VFS connections opened by {REQUESTS} requests after the first, {name}",
            measured=found[name].by_requests,
            at_most=0,
        )
    yield Table(
        title="Requests over HTTP",
        note=f"Of {REQUESTS} requests that each read a row through the router, after "
        "every thread has read from the replica once. What is counted is "
        "`sqlite3.connect`, by an audit hook; the health watcher's connection is in it.",
        columns=("server", "answered from the replica", "opened before", "opened"),
        rows=[
            (name, str(one.from_replica), str(one.before), str(one.by_requests))
            for name, one in found.items()
        ],
    )
