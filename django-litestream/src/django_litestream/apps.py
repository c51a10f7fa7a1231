from django.apps import AppConfig
from django.core.checks import register

from . import checks


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
        ):
            register(check, "litestream")
