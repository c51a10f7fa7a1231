from typing import Any

from django.db.backends.sqlite3 import base


class DatabaseWrapper(base.DatabaseWrapper):
    """SQLite with a function of its own, which an index may use."""

    def get_new_connection(self, conn_params: dict[str, Any]) -> Any:
        connection = super().get_new_connection(conn_params)
        connection.create_function("shout", 1, _shout, deterministic=True)
        return connection


def _shout(text: str) -> str:
    return f"{text}!".upper()
