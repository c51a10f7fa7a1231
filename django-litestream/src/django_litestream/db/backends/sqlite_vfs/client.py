"""``manage.py dbshell``: the sqlite3 shell on a replica."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterable

from django.core.management.base import CommandError
from django.db.backends.sqlite3 import client

from .... import install
from ....errors import LitestreamError
from ....private_files import temporary_directory
from ....replicas import Replica
from ....vfs.loading import ENTRYPOINT
from ....vfs.uri import connection_uri, is_vfs_name


class DatabaseClient(client.DatabaseClient):
    def runshell(self, parameters: Iterable[str]) -> None:
        settings = self.connection.settings_dict
        if not is_vfs_name(settings["NAME"]):
            super().runshell(parameters)
            return
        alias = self.connection.alias
        uri = connection_uri(settings["NAME"], Replica.from_database(alias, settings))
        try:
            library = install.extension()
        except LitestreamError as error:
            raise CommandError(str(error)) from error
        load = f'.load "{library}" {ENTRYPOINT}'
        self._require_loading(load)
        # Not on the command line, which all users see: the URL may hold a password.
        with temporary_directory("shell") as directory:
            commands = directory / "open.sql"
            commands.write_text(f'{load}\n.open "{uri}"\n', encoding="utf-8")
            words = [self.executable_name, "-init", os.fspath(commands)]
            # What follows is SQL only where a database was named before it.
            subprocess.run([*words, ":memory:", *parameters], check=True)

    def _require_loading(self, load: str) -> None:
        """Raise ``CommandError`` where the shell cannot load Litestream's VFS."""
        tried = subprocess.run(
            [self.executable_name, "-batch", ":memory:", load],
            capture_output=True,
            text=True,
            check=False,
        )
        answer = f"{tried.stdout}{tried.stderr}".strip()
        if tried.returncode or answer:
            raise CommandError(
                f"The {self.executable_name} shell cannot load Litestream's VFS: "
                f"{answer or tried.returncode}. Use one that was built with extension "
                "loading."
            )
