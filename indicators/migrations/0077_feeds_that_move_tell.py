"""Feeds whose filter moves by itself are told to addresses and read by TAXII, by the places of their sets."""

from __future__ import annotations

from django.db import migrations, models

WHY = "Before 1.0: rows of sets that move by themselves stay locked to the end, and who tells of them waits."


class Migration(migrations.Migration):
    """Columns that are empty so far, and moments that differ for rows of one set that were told in one."""

    dependencies = [("indicators", "0076_shared_ids_of_before")]

    operations = [
        migrations.AddField(
            model_name="delivery",
            name="first_place",
            field=models.BigIntegerField(
                help_text="Of the set of a feed that moves by itself, in place of the log.", null=True
            ),
        ),
        migrations.AddField(model_name="delivery", name="last_place", field=models.BigIntegerField(null=True)),
        migrations.AddField(
            model_name="subscription",
            name="look_at",
            field=models.DateTimeField(help_text="When that set is brought up to date for it.", null=True),
        ),
        migrations.AddField(
            model_name="subscription",
            name="place",
            field=models.BigIntegerField(db_default=0, default=0, help_text="Of that set: up to here it was told."),
        ),
        migrations.AddField(
            model_name="subscription",
            name="set_id",
            field=models.BigIntegerField(
                help_text="The FeedSet by which it is told, where the filter moves by itself; else the log tells.",
                null=True,
            ),
        ),
        migrations.AddField(
            model_name="digest",
            name="places",
            field=models.JSONField(
                help_text="The same, of feeds that move by themselves: by id, set and place.", null=True
            ),
        ),
        migrations.AlterField(
            model_name="feedset",
            name="looked_at",
            field=models.DateTimeField(
                help_text="When a filter that moves by itself was last asked whole; later by as much as it is to rest.",
                null=True,
            ),
        ),
        migrations.AddIndex(
            model_name="subscription",
            index=models.Index(
                condition=models.Q(("set_id__isnull", False)), fields=["look_at"], name="subscription_to_look_at"
            ),
        ),
        migrations.RunSQL(
            """
            UPDATE indicators_inforce f SET told_at = f.told_at + (later.count * interval '1 microsecond')
            FROM (SELECT r.id, row_number() OVER (PARTITION BY r.feed_set_id, r.told_at ORDER BY r.place) - 1 AS count
                  FROM indicators_inforce r JOIN indicators_feedset s ON s.id = r.feed_set_id
                  WHERE s.looked_at IS NOT NULL) later
            WHERE later.id = f.id AND later.count > 0
            """
        ),
    ]
