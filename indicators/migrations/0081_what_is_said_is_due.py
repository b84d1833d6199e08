"""Which opinions and sightings are to be looked at, since what they are about changed."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table, empty."""

    dependencies = [
        ("indicators", "0080_said_no_further"),
        ("partners", "0017_terms_of_recipients"),
    ]
    operations = [
        migrations.CreateModel(
            name="BoundDue",
            fields=[
                (
                    "said_by",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="indicators.holding",
                    ),
                ),
                (
                    "giver",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
            ],
            options={
                "base_manager_name": "unrestricted",
                "indexes": [models.Index(fields=["giver", "said_by"], name="bound_due_by_giver")],
            },
            managers=[("unrestricted", django.db.models.manager.Manager())],
        ),
    ]
