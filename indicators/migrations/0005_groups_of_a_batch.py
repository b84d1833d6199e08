"""Batches say where they may have gone, so that a key for some groups is not told of others."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0004_marked_by_own_definitions")]
    operations = [
        migrations.AddField(
            model_name="batch",
            name="groups",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                help_text="Where it may have gone; none: not known any more.",
                null=True,
                size=None,
            ),
        )
    ]
