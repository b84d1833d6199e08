"""What a set showed of an object's marking, so that a change of that alone is told."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0082_dissents_by_time")]
    operations = [
        migrations.AddField(
            "inforce",
            "tlp",
            models.SmallIntegerField(
                help_text="The shown marking; null of what came before this was kept.", null=True
            ),
        ),
    ]
