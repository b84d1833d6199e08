"""A part of a judging is marked while its opinion is given."""

from django.db import migrations, models

WHY = "No row is read or written: the words of `state` are Django's alone."


class Migration(migrations.Migration):
    dependencies = [("indicators", "0060_indexes_beside_who_writes")]
    operations = [
        migrations.AlterField(
            "judgingpart",
            "state",
            models.CharField(
                choices=[
                    ("due", "Due"),
                    ("giving", "Being given"),
                    ("given", "Given"),
                    ("same", "Said before"),
                    ("refused", "Refused"),
                    ("back", "Taken back"),
                    ("kept", "Said anew since"),
                ],
                default="due",
                max_length=8,
            ),
        ),
    ]
