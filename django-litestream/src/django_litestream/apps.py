from django.apps import AppConfig


class LitestreamConfig(AppConfig):
    name = "django_litestream"
    verbose_name = "Litestream"
