"""The Django application."""

from django.apps import AppConfig


class IndicatorsConfig(AppConfig):
    """What: content and its movement."""

    name = "indicators"
    default_auto_field = "django.db.models.BigAutoField"
