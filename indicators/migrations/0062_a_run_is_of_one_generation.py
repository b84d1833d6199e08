"""A run of a connection sees that somebody changed it, and keeps its claim until it has ended."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0061_judging_marked")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="generation",
            field=models.IntegerField(
                db_default=0, default=0, help_text="How often it was changed: a run is of one."
            ),
        ),
    ]
