"""Which parts of an agent lack something that it fetched, as its acknowledgement says."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0084_over_colleagues")]
    operations = [
        migrations.AddField(
            "receipt",
            "late",
            models.JSONField(help_text="Kinds of its parts that lack something, how many, for how long.", null=True),
        ),
    ]
