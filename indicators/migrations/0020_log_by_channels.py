"""The log by channels: what it told each audience becomes a row in each of the audience's channels (ADR 0031).

Places and dates stay, so cursors and `added_after` keep their meaning. What was told to partners by name, because their
sight changed, is told in the channels of these partners alone.
"""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

_TLP = [(0, "TLP:CLEAR"), (1, "TLP:GREEN"), (2, "TLP:AMBER"), (3, "TLP:AMBER+STRICT"), (4, "TLP:RED")]

_SET_ASIDE = """
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
ALTER TABLE indicators_change RENAME TO indicators_change_before;
ALTER INDEX indicators_change_pkey RENAME TO indicators_change_before_pkey;
"""

_FILL = """
INSERT INTO indicators_change (channel, seq, date_added, holding_id, version_id, op, reason, tlp, again)
SELECT k.channel, c.seq, c.date_added, c.holding_id, c.object_id, c.op, c.reason, a.tlp, c.again
FROM indicators_change_before c JOIN partners_audience a ON a.id = c.audience_id
CROSS JOIN LATERAL unnest(a.channels) k(channel)
ORDER BY c.seq;

INSERT INTO indicators_commit (last_seq, date_added) SELECT seq, date_added FROM indicators_change_before;

-- An open window begins where a partner came to see an audience; so does its sight of the channels that brought it.
UPDATE partners_sight s SET since = w.since
FROM (SELECT w.partner_id, k.channel, max(w.after) AS since
      FROM indicators_window w JOIN partners_audience a ON a.id = w.audience_id
      CROSS JOIN LATERAL unnest(a.channels) k(channel)
      WHERE w.until IS NULL GROUP BY 1, 2) w
JOIN partners_channel c ON c.id = w.channel AND c.reach IN ('everyone', 'group', 'named')
WHERE s.partner_id = w.partner_id AND s.channel_id = w.channel AND s.until IS NULL;

-- A closed one ends where it lost sight.
INSERT INTO partners_sight (partner_id, channel_id, group_id, since, until)
SELECT DISTINCT w.partner_id, c.id, c.group_id, w.after, w.until
FROM indicators_window w JOIN partners_audience a ON a.id = w.audience_id
CROSS JOIN LATERAL unnest(a.channels) k(channel)
JOIN partners_channel c ON c.id = k.channel AND c.reach IN ('everyone', 'group', 'named')
WHERE w.until IS NOT NULL
  AND NOT EXISTS (SELECT FROM partners_sight s WHERE s.partner_id = w.partner_id AND s.channel_id = c.id
                  AND s.until IS NULL AND s.since < w.until);

DROP TABLE indicators_change_before;
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
"""

_DROP_TELLINGS = """
DELETE FROM partners_audience WHERE use = 'telling';
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
"""

# What was told is never changed; it is deleted by `pruning` alone, which says so.
_GUARD = """
CREATE TRIGGER log_is_append_only BEFORE UPDATE ON indicators_change
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
CREATE TRIGGER log_is_pruned_by_rule BEFORE DELETE ON indicators_change
    FOR EACH STATEMENT WHEN (coalesce(current_setting('exchange.pruning', true), '') <> 'on')
    EXECUTE FUNCTION exchange_refuse_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0019_evidence"), ("partners", "0008_channels")]
    operations = [
        migrations.CreateModel(
            "Commit",
            fields=[
                ("last_seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("date_added", models.DateTimeField(unique=True)),
            ],
        ),
        migrations.CreateModel(
            "LogShare",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("hour", models.DateTimeField()),
                ("rows", models.BigIntegerField()),
                (
                    "partner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("partner", "hour"), name="one_share_per_partner_and_hour")
                ]
            },
        ),
        migrations.CreateModel(
            "Telling",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                (
                    "kind",
                    models.CharField(
                        choices=[
                            ("closed", "Was in a channel that was closed"),
                            ("opened", "Is in a channel that was opened"),
                            ("passed", "Entered again in a channel that was closed, and went elsewhere"),
                        ],
                        max_length=6,
                    ),
                ),
                ("holdings", django.contrib.postgres.fields.ArrayField(models.BigIntegerField(), size=None)),
                (
                    "channel",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.channel",
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
                    ),
                ),
                (
                    "told_in",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.channel",
                    ),
                ),
            ],
        ),
        migrations.RunSQL(_SET_ASIDE, migrations.RunSQL.noop, state_operations=[migrations.DeleteModel("Change")]),
        migrations.CreateModel(
            "Change",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "channel", "seq", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("channel", models.BigIntegerField()),
                ("seq", models.BigIntegerField()),
                ("date_added", models.DateTimeField()),
                ("holding_id", models.BigIntegerField()),
                ("version_id", models.BigIntegerField()),
                ("op", models.CharField(choices=[("remove", "Remove"), ("upsert", "Upsert")], max_length=6)),
                (
                    "reason",
                    models.CharField(
                        choices=[
                            ("expired", "Expired"),
                            ("granted", "Came into sight"),
                            ("narrowed", "Audience narrowed"),
                            ("published", "Published"),
                            ("revised", "Revised"),
                            ("revoked", "Revoked"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        max_length=10,
                    ),
                ),
                ("tlp", models.SmallIntegerField(choices=_TLP)),
                ("again", models.BooleanField(default=False)),
            ],
            options={"base_manager_name": "unrestricted"},
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.DeleteModel("Window"),
        migrations.RunSQL(_DROP_TELLINGS, migrations.RunSQL.noop),
        migrations.AddIndex("change", models.Index(fields=["version_id", "seq"], name="change_by_version")),
        migrations.AddIndex(
            "change",
            models.Index(condition=models.Q(("again", True)), fields=["channel"], name="change_that_enters_again"),
        ),
        migrations.AddIndex(
            "change",
            models.Index(condition=models.Q(("op", "remove")), fields=["channel", "seq"], name="change_that_removes"),
        ),
        migrations.RunSQL(_GUARD, migrations.RunSQL.noop),
    ]
