"""How far those who hear a suspended partner were told that its opinions do not count."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table, empty."""

    dependencies = [
        ("indicators", "0073_when_it_came_into_force"),
        ("partners", "0017_terms_of_recipients"),
    ]
    operations = [
        migrations.CreateModel(
            name="Silence",
            fields=[
                (
                    "partner",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="+",
                        serialize=False,
                        to="partners.partner",
                    ),
                ),
                ("silent", models.BooleanField()),
                ("reached", models.BigIntegerField(null=True)),
            ],
            options={"base_manager_name": "unrestricted"},
            managers=[
                ("objects", models.Manager()),
                ("unrestricted", models.Manager()),
            ],
        ),
    ]
