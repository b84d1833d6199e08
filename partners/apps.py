"""The Django application."""

from django.apps import AppConfig


class PartnersConfig(AppConfig):
    """Who: identity, trust, audit, and the visibility rule."""

    name = "partners"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Tell the ground what is this application's: metrics, what a restored store must prove, what is sealed."""
        from exchange import health, proving  # noqa: PLC0415 - models are there only now
        from partners import mailing  # noqa: PLC0415
        from partners.identity import accounts, signing_on  # noqa: PLC0415
        from partners.log import logkeys, transparency  # noqa: F401, PLC0415 - the first registers itself
        from partners.tokens import groupkeys  # noqa: PLC0415

        if mailing.gauges not in health.GAUGES:
            health.GAUGES.append(mailing.gauges)
            proving.PROOFS.append(transparency.verify)
        proving.GROWING["records of the log"] = transparency.last_record
        proving.SEALED |= {
            "group keys": groupkeys.openers,
            "mails": mailing.openers,
            "second factors": accounts.openers,
            "sign-on secrets": signing_on.openers,
        }
        proving.RESEAL |= {
            "group keys": groupkeys.reseal,
            "mails": mailing.reseal,
            "second factors": accounts.reseal,
            "sign-on secrets": signing_on.reseal,
        }
