"""A subscription may be told only what concerns its own partner."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0064_report_schedules")]

    operations = [
        migrations.AddField(
            model_name="subscription",
            name="only_yours",
            field=models.BooleanField(
                db_default=False,
                default=False,
                help_text="It is told only what concerns its own partner (`concerning`).",
            ),
        ),
    ]
