"""Messages that tell of a removal go before others."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0037_campaigns_moved")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="urgent",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Whether it tells of a removal."
            ),
        ),
    ]
