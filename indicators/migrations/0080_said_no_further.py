"""Where what was said of others' objects was sent, for it goes no further than they do now."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models


class Migration(migrations.Migration):
    """A table, empty."""

    dependencies = [
        ("indicators", "0079_labs_of_first_telling"),
        ("partners", "0017_terms_of_recipients"),
    ]
    operations = [
        migrations.CreateModel(
            name="Bounded",
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
                    "about",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.BigIntegerField(),
                        help_text="The holdings of others that its giver saw under its ids.",
                    ),
                ),
                (
                    "asked",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.audience",
                    ),
                ),
                (
                    "given",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.audience",
                    ),
                ),
            ],
            options={"base_manager_name": "unrestricted"},
            managers=[("unrestricted", django.db.models.manager.Manager())],
        ),
    ]
