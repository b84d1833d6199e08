"""Audiences are told by channels, and partners have channels open; those that are there get theirs."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.db.models.deletion
from django.db import migrations, models

_TLP = [(0, "TLP:CLEAR"), (1, "TLP:GREEN"), (2, "TLP:AMBER"), (3, "TLP:AMBER+STRICT"), (4, "TLP:RED")]

_FILL = """
INSERT INTO partners_channel (reach, partner_id, group_id, need)
SELECT 'everyone', NULL::uuid, NULL::uuid, need FROM generate_series(0, 3) need
WHERE EXISTS (SELECT FROM partners_partner)
UNION ALL SELECT 'group', NULL, g.id, need FROM partners_group g, generate_series(0, 3) need
UNION ALL SELECT 'named', p.id, NULL, need FROM partners_partner p, generate_series(0, 4) need
UNION ALL SELECT 'own', p.id, NULL, 0 FROM partners_partner p
UNION ALL SELECT 'told', p.id, NULL, 0 FROM partners_partner p
UNION ALL SELECT DISTINCT 'told', m.partner_id, m.group_id, 0 FROM partners_membership m;

INSERT INTO partners_sight (partner_id, channel_id, group_id, since)
SELECT p.id, c.id, c.group_id, 0 FROM partners_partner p JOIN partners_channel c
    ON c.need <= p.clearance
   AND (c.partner_id = p.id OR c.reach = 'everyone'
        OR (c.reach = 'group' AND c.group_id IN (SELECT m.group_id FROM partners_membership m
                                                 WHERE m.partner_id = p.id AND m.until IS NULL)));

UPDATE partners_audience a SET channels = ARRAY(
    SELECT c.id FROM partners_channel c
    WHERE (a.use = 'telling' AND c.reach = 'told' AND c.group_id IS NULL AND c.partner_id = ANY(a.partners))
       OR (a.use = 'objects' AND ((c.reach = 'own' AND c.partner_id = a.publisher_id)
           OR (c.need = a.tlp AND ((c.reach = 'everyone' AND a.everyone)
                                   OR (c.reach = 'group' AND c.group_id = ANY(a.groups))
                                   OR (c.reach = 'named' AND c.partner_id = ANY(a.partners))))))
    ORDER BY c.id);
"""


class Migration(migrations.Migration):
    dependencies = [("partners", "0007_drawn_ids_of_people")]
    operations = [
        migrations.CreateModel(
            "Channel",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "reach",
                    models.CharField(
                        choices=[
                            ("everyone", "Everyone"),
                            ("group", "The members of a group"),
                            ("named", "A partner that is named"),
                            ("own", "The publisher itself"),
                            ("told", "A partner that is told of its sight"),
                        ],
                        max_length=8,
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        null=True, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.group"
                    ),
                ),
                (
                    "need",
                    models.SmallIntegerField(
                        choices=_TLP, help_text="The clearance that it takes to see what it carries."
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        fields=("partner", "group", "reach", "need"),
                        name="one_channel_per_reach_and_marking",
                        nulls_distinct=False,
                    )
                ]
            },
        ),
        migrations.CreateModel(
            "Sight",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "partner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
                (
                    "channel",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.channel"
                    ),
                ),
                (
                    "group",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="partners.group",
                    ),
                ),
                ("since", models.BigIntegerField(default=0)),
                ("until", models.BigIntegerField(null=True)),
                ("lost", models.BigIntegerField(db_default=0, default=0)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("until", None)),
                        fields=("partner", "channel"),
                        name="a_partner_opens_a_channel_once",
                    )
                ],
                "indexes": [models.Index(fields=["partner", "channel", "since"], name="sight_by_partner")],
            },
        ),
        migrations.AddField(
            "audience",
            "channels",
            django.contrib.postgres.fields.ArrayField(
                base_field=models.BigIntegerField(),
                default=list,
                db_default=models.Value(
                    [], output_field=django.contrib.postgres.fields.ArrayField(models.BigIntegerField())
                ),
                size=None,
            ),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            "audience",
            django.contrib.postgres.indexes.GinIndex(fields=["channels"], name="audience_by_channel"),
        ),
    ]
