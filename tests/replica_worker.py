"""A process of a project's that calls what a test sends it: see ``replica_world``."""

from __future__ import annotations

import os
import sys
import traceback
from multiprocessing.connection import Connection

import django


def work(orders: Connection) -> None:
    """Call one function after the other until the test has no more."""
    while True:
        try:
            function, arguments = orders.recv()
        except EOFError:
            return
        try:
            orders.send((function(*arguments), None))
        except Exception as error:
            error.add_note(traceback.format_exc())
            orders.send((None, error))


if __name__ == "__main__":
    os.environ["DJANGO_SETTINGS_MODULE"] = "project_settings"
    django.setup()
    work(Connection(int(sys.argv[1])))
