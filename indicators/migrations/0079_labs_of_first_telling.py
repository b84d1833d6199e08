"""Which labs a campaign had when it was told first: how often such campaigns dissolve is counted by them."""

from django.db import migrations, models


class Migration(migrations.Migration):
    """A column that is empty so far: what dissolved before the upgrade counts for nobody."""

    dependencies = [("indicators", "0078_silence_of_which_state")]
    operations = [
        migrations.AddField(
            "campaign",
            "told_labs",
            models.JSONField(db_default=[], default=list, help_text="Ids of its labs when it was told first."),
        ),
    ]
