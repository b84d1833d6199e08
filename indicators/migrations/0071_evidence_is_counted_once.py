"""How much a lab's evidence for a group may hold, kept where it is counted; nobody has counted yet."""

from __future__ import annotations

from django.db import migrations, models


class Migration(migrations.Migration):
    """Two columns that are empty so far."""

    dependencies = [("indicators", "0070_how_far_a_schedule_came")]

    operations = [
        migrations.AddField(
            model_name="submission",
            name="most_accounts",
            field=models.IntegerField(help_text="It holds no more; null where nobody has counted yet.", null=True),
        ),
        migrations.AddField(
            model_name="submission",
            name="most_tokens",
            field=models.IntegerField(
                help_text="Nor more different tokens; null as above.", null=True
            ),
        ),
    ]
