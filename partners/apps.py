"""The Django application."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Who: identity, trust, audit, and the visibility rule."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the check of the log's key run with the others."""
        from partners import logkeys  # noqa: F401, PLC0415 - registers itself
