"""How far in the log a package of a feed was gathered, and when a schedule ended by itself."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Two columns that are empty so far."""

    dependencies = [("indicators", "0069_tickets_untold")]

    operations = [
        migrations.AddField(
            model_name="reportpackage",
            name="reached",
            field=models.BigIntegerField(
                help_text="Of a feed: up to which place in the log it was gathered.", null=True
            ),
        ),
        migrations.AddField(
            model_name="reportschedule",
            name="gave_up_at",
            field=models.DateTimeField(help_text="When it ended by itself; `outcome` says why.", null=True),
        ),
    ]
