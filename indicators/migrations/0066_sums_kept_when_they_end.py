"""Sums that ended are kept: who has a token asked about again and again learns no single lab's change by it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0065_subscriptions_to_what_is_yours")]
    operations = [
        migrations.AddField("ToldSum", "ended", models.BooleanField(default=False, db_default=False)),
        migrations.AddField(
            "ToldSum",
            "summed_at",
            models.DateTimeField(null=True, help_text="When the sums were made; null: when they were told."),
        ),
    ]
