"""The ground as a Django application: management commands, templates, static files."""

from django.apps import AppConfig
from django.core import signals
from django.core.cache import close_caches
from django.db import close_old_connections, reset_queries


class ExchangeConfig(AppConfig):
    """Knows no partner and no indicator."""

    name = "exchange"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have Django leave out, of what it does around each request, what is nothing here (ADR 0025)."""
        signals.request_started.disconnect(reset_queries)  # none are logged
        signals.request_started.disconnect(close_old_connections)  # the end of the last request gave them back
        signals.request_finished.disconnect(close_caches)  # the one there is holds nothing open
