"""Whom a holding names as its creator: that of the version that it began with. And bytes that correct others."""

from django.db import migrations, models

_FILL = """
UPDATE indicators_holding h SET creator = lower(first.created_by_ref)
FROM (SELECT DISTINCT ON (holding_id) holding_id, created_by_ref, created FROM indicators_stixobject ORDER BY holding_id, id) first
WHERE first.holding_id = h.id AND first.created_by_ref IS NOT NULL AND first.created IS NOT NULL
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0013_holdings")]
    operations = [
        migrations.AddField(
            "holding",
            "creator",
            models.CharField(
                help_text="`created_by_ref` of the version it began with, in lower case.", max_length=300, null=True
            ),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.AddField(
            "stixobject",
            "correction",
            models.SmallIntegerField(
                db_default=0, default=0, help_text="Of what has no `modified`: how many bytes it takes the place of."
            ),
        ),
        migrations.RemoveConstraint("stixobject", "one_row_per_version_of_a_holding"),
        migrations.AddConstraint(
            "stixobject",
            models.UniqueConstraint(
                fields=("holding", "modified", "correction"),
                name="one_row_per_version_of_a_holding",
                nulls_distinct=False,
            ),
        ),
    ]
