"""What a partner holds under an id becomes a row of its own: `Holding`; versions hang below it and never change.

Set-based: each table is read and written once. A version that its publisher alone saw, or nobody, is `Hidden`. What was
handed over to another partner is its holding; the one before it keeps a holding from which all was withdrawn, so that
the log tells of each what it told. An older process cannot write to this store: stop them before.
"""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

_FILL = """
-- One row a publisher and id. Its newest version is the one marked so; where there is none it was withdrawn, or ended
-- without a version that says so: then all its versions counted as revoked.
INSERT INTO indicators_holding (publisher_id, stix_id, stix_type, audience_id, state, newest_id, kind, valid_until)
SELECT o.publisher_id, o.stix_id, min(o.stix_type),
       coalesce(max(o.audience_id) FILTER (WHERE o.latest), max(o.audience_id)),
       CASE WHEN NOT bool_or(o.latest) THEN CASE WHEN bool_and(o.revoked) THEN 'revoked' ELSE 'withdrawn' END
            WHEN bool_or(o.latest AND o.revoked) THEN 'revoked'
            WHEN bool_or(o.latest AND o.expired_at IS NOT NULL) THEN 'expired'
            ELSE 'live' END,
       max(o.id) FILTER (WHERE o.latest), max(o.kind) FILTER (WHERE o.latest),
       max(o.valid_until) FILTER (WHERE o.latest)
FROM indicators_stixobject o
GROUP BY o.publisher_id, o.stix_id
ORDER BY min(o.id);

UPDATE indicators_stixobject o SET holding_id = h.id
FROM indicators_holding h WHERE h.publisher_id = o.publisher_id AND h.stix_id = o.stix_id;

INSERT INTO indicators_hidden (version_id, hidden_from)
SELECT o.id, CASE WHEN a.use = 'withdrawn' THEN 'all' ELSE 'others' END
FROM indicators_stixobject o
JOIN indicators_holding h ON h.id = o.holding_id AND h.newest_id <> o.id AND h.audience_id <> o.audience_id
JOIN partners_audience a ON a.id = o.audience_id;

-- Of what was handed over, the log tells under the name of the partner that it came from.
INSERT INTO partners_audience (use, publisher_id, tlp, everyone, groups, partners, attribution)
SELECT DISTINCT 'withdrawn', c.publisher_id, 4, false, '{}'::uuid[], '{}'::uuid[], 0
FROM indicators_change c
JOIN indicators_stixobject o ON o.id = c.object_id AND o.publisher_id <> c.publisher_id
ON CONFLICT DO NOTHING;
INSERT INTO indicators_holding (publisher_id, stix_id, stix_type, audience_id, state)
SELECT DISTINCT c.publisher_id, o.stix_id, o.stix_type, a.id, 'withdrawn'
FROM indicators_change c
JOIN indicators_stixobject o ON o.id = c.object_id AND o.publisher_id <> c.publisher_id
JOIN partners_audience a ON a.publisher_id = c.publisher_id AND a.use = 'withdrawn' AND a.attribution = 0
ON CONFLICT DO NOTHING;

ALTER TABLE indicators_change DISABLE TRIGGER log_is_append_only;
UPDATE indicators_change c SET holding_id = h.id
FROM indicators_stixobject o JOIN indicators_holding h ON h.stix_id = o.stix_id
WHERE o.id = c.object_id AND h.publisher_id = c.publisher_id;
ALTER TABLE indicators_change ENABLE TRIGGER log_is_append_only;
"""

#: PostgreSQL alters no table of which a constraint is still to be checked.
_CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
#: Room for a revised or re-addressed row beside the one that it replaces.
_ROOM = "ALTER TABLE indicators_holding SET (fillfactor = 90);"

_NEVER_BACK = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [("indicators", "0012_references"), ("partners", "0007_drawn_ids_of_people")]
    operations = [
        migrations.CreateModel(
            name="Holding",
            fields=[
                ("id", models.BigAutoField(primary_key=True, serialize=False)),
                ("stix_id", models.CharField(max_length=300)),
                ("stix_type", models.CharField(max_length=250)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("disarmed", "Disarmed"),
                            ("expired", "Expired"),
                            ("live", "Live"),
                            ("revoked", "Revoked"),
                            ("withdrawn", "Withdrawn"),
                        ],
                        default="live",
                        max_length=9,
                    ),
                ),
                ("kind", models.CharField(max_length=40, null=True)),
                ("valid_until", models.DateTimeField(null=True)),
                (
                    "audience",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.audience",
                    ),
                ),
                (
                    "newest",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="indicators.stixobject",
                    ),
                ),
                (
                    "publisher",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
            ],
            options={
                "abstract": False,
                "base_manager_name": "unrestricted",
                "indexes": [
                    models.Index(fields=["audience", "-id"], name="holding_by_audience"),
                    models.Index(
                        condition=models.Q(("state", "live")), fields=["valid_until"], name="holding_by_end_of_validity"
                    ),
                ],
                "constraints": [
                    models.UniqueConstraint(fields=("stix_id", "publisher"), name="one_holding_per_id_and_publisher"),
                    models.CheckConstraint(
                        condition=models.Q(
                            ("newest__isnull", False), ("state__in", ["revoked", "withdrawn"]), _connector="OR"
                        ),
                        name="what_has_no_newest_version_has_ended",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("state", "withdrawn"), _negated=True), ("newest", None), _connector="OR"
                        ),
                        name="nothing_is_shown_of_what_is_withdrawn",
                    ),
                ],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunSQL(_ROOM, _NEVER_BACK),
        migrations.CreateModel(
            name="Hidden",
            fields=[
                (
                    "version",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="hidden",
                        serialize=False,
                        to="indicators.stixobject",
                    ),
                ),
                (
                    "hidden_from",
                    models.CharField(
                        choices=[("all", "Everybody"), ("others", "Everybody but its publisher")], max_length=6
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="stixobject",
            name="holding",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="indicators.holding",
            ),
        ),
        migrations.AddField(
            model_name="change",
            name="holding",
            field=models.ForeignKey(
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="indicators.holding",
            ),
        ),
        migrations.RunSQL(_FILL, _NEVER_BACK),
        migrations.RunSQL(_CHECK_NOW, _NEVER_BACK),
        migrations.AlterField(
            model_name="stixobject",
            name="holding",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="versions",
                to="indicators.holding",
            ),
        ),
        migrations.AlterField(
            model_name="change",
            name="holding",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="indicators.holding"
            ),
        ),
        migrations.RemoveConstraint(model_name="stixobject", name="one_row_per_version_of_a_holding"),
        migrations.RemoveIndex(model_name="stixobject", name="object_by_audience"),
        migrations.RemoveIndex(model_name="stixobject", name="object_by_end_of_validity"),
        migrations.RemoveField(model_name="stixobject", name="audience"),
        migrations.RemoveField(model_name="stixobject", name="publisher"),
        migrations.RemoveField(model_name="stixobject", name="stix_id"),
        migrations.RemoveField(model_name="stixobject", name="stix_type"),
        migrations.RemoveField(model_name="stixobject", name="latest"),
        migrations.RemoveField(model_name="stixobject", name="expired_at"),
        migrations.AddConstraint(
            model_name="stixobject",
            constraint=models.UniqueConstraint(
                fields=("holding", "modified"), name="one_row_per_version_of_a_holding", nulls_distinct=False
            ),
        ),
        migrations.DeleteModel(name="SharedId"),
    ]
