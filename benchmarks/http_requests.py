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
THREADS = 4

Ask = Callable[[], dict[str, Any]]


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
    wait_until(lambda: ask()["alias"] == REPLICA)
    with ThreadPoolExecutor(clients) as threads:

        def ask_all() -> list[dict[str, Any]]:
            return list(threads.map(lambda _: ask(), range(REQUESTS)))

        # Has each thread of the server read from the replica.
        ask_all()
        before = ask()["opened"]
        answers = ask_all()
    return Openings(
        before=before,
        by_requests=ask()["opened"] - before,
        from_replica=sum(answer["alias"] == REPLICA for answer in answers),
    )


@contextmanager
def gunicorn(project: ReplicatedProject, *flags: str) -> Iterator[Ask]:
    """Serve ``benchmarks.served`` by one worker process."""
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        server = subprocess.Popen(
            [
                *(sys.executable, "-m", "gunicorn", "--log-level", "warning"),
                *("--bind", f"fd://{listener.fileno()}", *flags),
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
    def ask() -> dict[str, Any]:
        with urlopen(f"http://127.0.0.1:{port}/", timeout=60) as answer:
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
    scope = {
        "type": "http",
        "method": "GET",
        "path": "/",
        "headers": [],
        "query_string": b"",
    }

    async def request() -> dict[str, Any]:
        communicator: Any = ApplicationCommunicator(application, scope)  # type: ignore[no-untyped-call]
        await communicator.send_input({"type": "http.request"})
        await communicator.receive_output(timeout=60)
        body = await communicator.receive_output(timeout=60)
        await communicator.wait()
        answer: dict[str, Any] = json.loads(body["body"])
        return answer

    with asyncio.Runner() as runner:
        return count_openings(lambda: runner.run(request()))


def measure(project: ReplicatedProject) -> Iterator[Target | Table]:
    found: dict[str, Openings] = {}
    with gunicorn(project, "--workers", "1") as ask:
        found["gunicorn, one thread"] = count_openings(ask)
    with gunicorn(project, "--threads", str(THREADS)) as ask:
        found[f"gunicorn, {THREADS} threads"] = count_openings(ask, THREADS)
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
