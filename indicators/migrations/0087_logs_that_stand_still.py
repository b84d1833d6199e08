"""Since when objects came of which the newest head of another exchange's log cannot know."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0086_what_others_stand_in_for")]
    operations = [
        migrations.AddField(
            "connection",
            "log_owed_at",
            models.DateTimeField(
                null=True, help_text="When objects came first of which the newest head of that log cannot know."
            ),
        ),
    ]
