"""Since when a partner is in the state that was told of: who is reinstated before anybody was told is told of, too."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column that is empty so far."""

    dependencies = [("indicators", "0077_feeds_that_move_tell")]
    operations = [
        migrations.AddField(
            "silence",
            "since",
            models.DateTimeField(help_text="When the partner came into the state that was told of.", null=True),
        ),
    ]
