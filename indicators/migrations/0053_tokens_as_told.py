"""What a lab's accounts in a campaign carry is kept as it is told, to be compared with campaigns of its other groups."""

from django.db import migrations, models

# What was told keeps no tokens yet: it is looked at again when its group's interval is over.
_TELL_AGAIN = """
UPDATE indicators_campaign SET due = statement_timestamp() WHERE state = 'live' AND told <> '{}' AND due IS NULL
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0052_fair_shares_of_placing"), ("partners", "0016_allies")]
    operations = [
        migrations.CreateModel(
            name="ToldToken",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("campaign", models.UUIDField()),
                ("group", models.ForeignKey("partners.group", models.PROTECT, related_name="+", db_index=False)),
                ("partner", models.ForeignKey("partners.partner", models.PROTECT, related_name="+", db_index=False)),
                ("key", models.BigIntegerField()),
            ],
            options={
                "indexes": [models.Index(fields=["partner", "key"], name="told_token_by_lab")],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("campaign", "partner", "key"), name="one_row_told_per_campaign_lab_and_token"
                    )
                ],
            },
        ),
        migrations.RunSQL(_TELL_AGAIN, migrations.RunSQL.noop),
    ]
