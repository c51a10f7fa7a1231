"""Settings of the tests that run in this process.

Each alias stands for one way to name a database. All files are in one temporary
directory per process.
"""

import atexit
import shutil
import tempfile
from pathlib import Path
from typing import Any

DIRECTORY = Path(tempfile.mkdtemp(prefix="django-litestream-tests-")).resolve()
atexit.register(shutil.rmtree, DIRECTORY, ignore_errors=True)

for name in ("linked-to", "with space and é", "one", "two"):
    (DIRECTORY / name).mkdir()
(DIRECTORY / "link").symlink_to(DIRECTORY / "linked-to")

SECRET_KEY = "only for tests"
USE_TZ = True
INSTALLED_APPS = ["django_litestream"]


def _sqlite(name: str | Path, **settings: Any) -> dict[str, Any]:
    return {"ENGINE": "django.db.backends.sqlite3", "NAME": name, **settings}


DATABASES = {
    "default": _sqlite(DIRECTORY / "db.sqlite3"),
    "text": _sqlite(str(DIRECTORY / "text.sqlite3")),
    "relative": _sqlite("relative.sqlite3"),
    "uri": _sqlite(f"file:{DIRECTORY}/a%20uri.sqlite3?mode=rw&cache=private"),
    "relative_uri": _sqlite("file:relative-uri.sqlite3?mode=rwc"),
    "linked": _sqlite(DIRECTORY / "link" / "linked.sqlite3"),
    "accents": _sqlite(DIRECTORY / "with space and é" / "données 1.sqlite3"),
    "subclass": _sqlite(
        DIRECTORY / "subclass.sqlite3", ENGINE="tests.subclassed_sqlite"
    ),
    "same_name_one": _sqlite(DIRECTORY / "one" / "same.sqlite3"),
    "same_name_two": _sqlite(DIRECTORY / "two" / "same.sqlite3"),
    "memory": _sqlite(":memory:"),
    "memory_uri": _sqlite("file::memory:?cache=shared"),
    "named_memory": _sqlite("file:shared?mode=memory&cache=shared"),
    "server": {"ENGINE": "django.db.backends.postgresql", "NAME": "shop"},
    "unloadable": {"ENGINE": "no.such.engine", "NAME": "shop"},
}
