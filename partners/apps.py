"""The Django application."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Who: identity, trust, audit, and the visibility rule."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Have the check of the log's key run with the others; add this application's numbers to the metrics."""
        from exchange import health  # noqa: PLC0415 - models are there only now
        from partners import mailing  # noqa: PLC0415 - the first registers itself
        from partners.log import logkeys  # noqa: F401, PLC0415 - the first registers itself

        if mailing.gauges not in health.GAUGES:
            health.GAUGES.append(mailing.gauges)
