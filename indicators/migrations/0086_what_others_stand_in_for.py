"""Up to which place of a set a holding may have been lost that has no row any more, for another one stands in."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0085_parts_that_are_late")]
    operations = [
        migrations.AddField(
            "feedset",
            "lost",
            models.BigIntegerField(
                db_default=0,
                default=0,
                help_text="Up to here a holding may have been lost for which another one stands.",
            ),
        ),
    ]
