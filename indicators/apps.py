"""The Django application."""

from django.apps import AppConfig


class IndicatorsConfig(AppConfig):
    """What: content and its movement."""

    name = "indicators"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Add this application's numbers to the operator's metrics, and have changes of sight told in the log."""
        from exchange import health, proving  # noqa: PLC0415 - models are there only now
        from indicators import measuring  # noqa: PLC0415
        from indicators.campaigns import terms  # noqa: PLC0415
        from indicators.connections import keeping  # noqa: PLC0415
        from indicators.ending import leaving  # noqa: PLC0415
        from indicators.log import changes  # noqa: PLC0415
        from indicators.publishing import awaiting, quarantine  # noqa: PLC0415
        from indicators.sight import resighting  # noqa: PLC0415
        from indicators.telling import subscribing  # noqa: PLC0415
        from partners import sight  # noqa: PLC0415
        from partners.groups import life  # noqa: PLC0415

        sight.turn_by(resighting.turn)
        life.when_leaving(leaving.settle)

        if measuring.gauges not in health.GAUGES:
            health.GAUGES.append(measuring.gauges)
        proving.GROWING |= {
            "changes": changes.head,
            "places of evidence": terms.places,
            "pushes for a second person": awaiting.held_so_far,
        }
        proving.SEALED |= {
            "credentials of connections": keeping.openers,
            "quarantined objects": quarantine.openers,
            "webhook secrets": subscribing.openers,
        }
        proving.RESEAL |= {
            "credentials of connections": keeping.reseal,
            "quarantined objects": quarantine.reseal,
            "webhook secrets": subscribing.reseal,
        }
