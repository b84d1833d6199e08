"""The Django application."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Who: identity, trust, audit, and the visibility rule."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"
