"""A value is stored once, and a match is asked: `TokenValue`, `Carries` and `Epoch` take the place of Token and Match.

Set-based. What is carried is what the newest version of each holding says; values of older versions are not kept, their
bytes say them. Whoever follows the log goes on where they were.
"""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

from exchange.lists.lines import COMPARED

_COMPARED = "CASE t.domain {} ELSE t.domain END".format(
    " ".join(f"WHEN '{name}' THEN '{meaning}'" for name, meaning in sorted(COMPARED.items()))
)
#: As `carrying.key_of` makes it.
_KEY = """
encode(substring(sha256(convert_to(n.value, 'UTF8')) FOR 4)
       || substring(sha256(convert_to(concat_ws(E'\\n', n.subkind, n.scheme, n.key_epoch, '', n.value), 'UTF8')) FOR 12),
       'hex')::uuid
"""
#: As `carrying.SOURCE`.
_SOURCE = """
hashtextextended(concat_ws(':', a.publisher_id, a.attribution, CASE WHEN a.attribution = 1 THEN a.groups[1] END), 0)
"""

_FILL = f"""
INSERT INTO indicators_epoch (scheme, name, begins, ends)
SELECT n.scheme, n.name, n.begins AT TIME ZONE 'UTC', (n.begins + interval '3 months') AT TIME ZONE 'UTC'
FROM (SELECT DISTINCT t.scheme, t.key_epoch AS name,
             CASE WHEN t.scheme = 'oprf-ristretto255-sha512' AND t.key_epoch ~ '^2[0-9]{{3}}q[1-4]$'
                  THEN make_timestamp(left(t.key_epoch, 4)::int, 3 * right(t.key_epoch, 1)::int - 2, 1, 0, 0, 0)
             END AS begins
      FROM indicators_token t WHERE t.key_epoch <> '' AND t.scheme <> 'clear') n;

CREATE TEMPORARY TABLE carrying ON COMMIT DROP AS
SELECT n.holding, n.place, {_KEY} AS key, n.subkind, n.domain, n.scheme, n.key_epoch, n.value, n.suppressed_by, n.source,
       n.token
FROM (
    SELECT h.id AS holding, row_number() OVER (PARTITION BY h.id ORDER BY t.id) - 1 AS place, t.id AS token,
           {_COMPARED} AS subkind, t.domain, t.scheme, CASE t.scheme WHEN 'clear' THEN '' ELSE t.key_epoch END AS key_epoch,
           t.value, t.suppressed_by, {_SOURCE} AS source
    FROM indicators_token t
    JOIN indicators_holding h ON h.newest_id = t.object_id
    JOIN partners_audience a ON a.id = h.audience_id
) n;
CREATE INDEX ON carrying (key);
ANALYZE carrying;

INSERT INTO indicators_tokenvalue (id, subkind, scheme, epoch_id, psp_scope, value, first_source, shared)
SELECT DISTINCT ON (c.key) c.key, c.subkind, c.scheme, e.id, '', c.value, c.source,
       c.subkind <> 'psp_fp' AND EXISTS (SELECT FROM carrying o WHERE o.key = c.key AND o.source <> c.source)
FROM carrying c LEFT JOIN indicators_epoch e ON e.scheme = c.scheme AND e.name = c.key_epoch
ORDER BY c.key, c.token;

INSERT INTO indicators_carries (holding_id, place, token_value_id, subkind, suppressed_by)
SELECT c.holding, c.place, c.key, c.domain, c.suppressed_by FROM carrying c ORDER BY c.holding, c.place;

ALTER TABLE indicators_change DISABLE TRIGGER log_is_append_only;
UPDATE indicators_change c SET linked = true
WHERE c.op = 'upsert' AND c.holding_id IN (
    SELECT k.holding_id FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id AND v.shared);
ALTER TABLE indicators_change ENABLE TRIGGER log_is_append_only;

DELETE FROM indicators_progress WHERE name = 'matching.tokens';
"""

#: PostgreSQL alters no table of which a constraint is still to be checked.
_CHECK_NOW = "SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;"
_NEVER_BACK = migrations.RunSQL.noop


class Migration(migrations.Migration):
    dependencies = [("indicators", "0022_detectors")]
    operations = [
        migrations.CreateModel(
            name="Epoch",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("scheme", models.CharField(max_length=40)),
                ("name", models.CharField(max_length=74)),
                ("begins", models.DateTimeField(null=True)),
                ("ends", models.DateTimeField(null=True)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("scheme", "name"), name="one_row_per_epoch_of_a_scheme"),
                    models.CheckConstraint(
                        condition=models.Q(("begins__lt", models.F("ends"))), name="an_epoch_ends_after_it_begins"
                    ),
                ],
            },
        ),
        migrations.CreateModel(
            name="TokenValue",
            fields=[
                ("id", models.UUIDField(editable=False, primary_key=True, serialize=False)),
                ("subkind", models.CharField(max_length=80)),
                ("scheme", models.CharField(max_length=40)),
                ("psp_scope", models.CharField(db_default="", default="", max_length=80)),
                ("value", models.CharField(max_length=2048)),
                ("first_source", models.BigIntegerField()),
                ("shared", models.BooleanField(db_default=False, default=False)),
                (
                    "epoch",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="indicators.epoch",
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("epoch", None), models.Q(("scheme__in", ["clear", "sha256"]), _negated=True), _connector="OR"
                        ),
                        name="what_needs_no_key_has_no_epoch",
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="Carries",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "holding", "place", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("place", models.SmallIntegerField()),
                ("subkind", models.CharField(max_length=80)),
                (
                    "suppressed_by",
                    models.CharField(
                        db_default="",
                        default="",
                        help_text="What keeps it out of lists (`door.entries`); empty: nothing.",
                        max_length=20,
                    ),
                ),
                (
                    "holding",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="carries",
                        to="indicators.holding",
                    ),
                ),
                (
                    "token_value",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="carried",
                        to="indicators.tokenvalue",
                    ),
                ),
            ],
            options={
                "base_manager_name": "unrestricted",
                "indexes": [models.Index(fields=["token_value", "holding"], name="carried_by_holding")],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name="change",
            name="linked",
            field=models.BooleanField(
                db_default=False, default=False, help_text="Whether a value of it was shared then."
            ),
        ),
        migrations.RunSQL(_FILL, _NEVER_BACK),
        migrations.RunSQL(_CHECK_NOW, _NEVER_BACK),
        migrations.DeleteModel(name="Match"),
        migrations.DeleteModel(name="Token"),
        migrations.AddIndex(
            model_name="change",
            index=models.Index(
                condition=models.Q(("linked", True)), fields=["channel", "seq"], name="change_that_is_linked"
            ),
        ),
    ]
