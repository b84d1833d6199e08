"""What all are told of to whom a channel was closed has no partner."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0023_values")]
    operations = [
        migrations.AlterField(
            "telling",
            "partner",
            models.ForeignKey(
                null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
            ),
        ),
    ]
