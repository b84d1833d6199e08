"""A kind of partner more: an ally, which publishes and reads within its clearance."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("partners", "0015_keys_for_one_list")]

    operations = [
        migrations.AlterField(
            "partner",
            "kind",
            models.CharField(
                choices=[
                    ("ally", "Ally"),
                    ("exchange", "The exchange itself"),
                    ("lab", "Lab"),
                    ("operator", "Operator"),
                    ("recipient", "Recipient"),
                ],
                max_length=12,
            ),
        ),
    ]
