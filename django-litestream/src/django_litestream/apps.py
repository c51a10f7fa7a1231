from django.apps import AppConfig
from django.core.checks import register
from django.core.exceptions import ImproperlyConfigured
from django.core.signals import request_finished, request_started
from django.db import connections
from django.db.backends.signals import connection_created

from . import checks, routing
from .conf import app_settings
from .db.backends.sqlite_vfs.base import put_back_connections
from .vfs import ensure_vfs_loaded


class LitestreamConfig(AppConfig):
    name = "django_litestream"
    verbose_name = "Litestream"

    def ready(self) -> None:
        for check in (
            checks.check_settings,
            checks.check_executable,
            checks.check_extension,
            checks.check_environment,
            checks.check_journal_mode,
            checks.check_nats,
            checks.check_replicas,
            checks.check_middleware,
        ):
            register(check, "litestream")
        request_started.connect(routing.begin_unit)
        request_finished.connect(put_back_connections)
        connection_created.connect(routing.watch_writes)
        for connection in connections.all(initialized_only=True):
            routing.watch_writes(connection)
        if _is_eager():
            ensure_vfs_loaded()


def _is_eager() -> bool:
    try:
        return app_settings.vfs_eager
    except ImproperlyConfigured:
        # `check` must start to tell that: it is E001.
        return False
