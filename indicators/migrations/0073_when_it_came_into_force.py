"""At which place of its set an object came into force, so that a delta tells what is new from what changed."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column that is empty so far."""

    dependencies = [("indicators", "0072_versions_are_written_once")]
    operations = [
        migrations.AddField(
            "inforce",
            "came",
            models.BigIntegerField(
                help_text="The place at which it came, or came back; null of what came before this was kept.",
                null=True,
            ),
        ),
    ]
