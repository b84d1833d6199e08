"""The ground as a Django application: management commands, templates, static files."""

from django.apps import AppConfig


class ExchangeConfig(AppConfig):
    """Knows no partner and no indicator."""

    name = "exchange"
    default_auto_field = "django.db.models.BigAutoField"
