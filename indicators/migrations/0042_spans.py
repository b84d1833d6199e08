"""Say beside networks and ranges that living holdings carry where they begin and end, so that what overlaps is found.

The database writes it whenever `Carries` is written, by this release or by the one before.
"""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models
from django.db.models import Q

WHY = "Before 1.0, with a release that stops everything: rows of the log that name networks stay locked to the end."

# `kind` is what a value is compared as. No row for what is neither, and for networks wider than may be listed.
_SPAN = """
CREATE FUNCTION exchange_span(kind text, said text, OUT net inet, OUT ends inet, OUT low integer, OUT high integer)
RETURNS SETOF record LANGUAGE plpgsql STABLE AS $$
BEGIN
    IF kind = 'net' AND pg_input_is_valid(said, 'inet') THEN
        net := said::inet;
        IF masklen(net) >= (CASE family(net) WHEN 4 THEN 16 ELSE 32 END) THEN
            ends := set_masklen(broadcast(net), CASE family(net) WHEN 4 THEN 32 ELSE 128 END);
            RETURN NEXT;
        END IF;
    ELSIF kind = 'bin_range' AND said ~ '^[0-9]{6,8}(-[0-9]{6,8})?$' THEN
        low := rpad(split_part(said, '-', 1), 8, '0')::integer;
        high := rpad(split_part(said, '-', -1), 8, '9')::integer;
        IF high - low < 100 THEN
            RETURN NEXT;
        END IF;
    END IF;
END $$;
"""
_FOLLOW = """
CREATE FUNCTION exchange_carries_span() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' THEN
        DELETE FROM indicators_span WHERE holding_id = OLD.holding_id AND place = OLD.place;
    END IF;
    IF TG_OP <> 'DELETE' THEN
        INSERT INTO indicators_span (holding_id, place, audience_id, net, ends, low, high)
        SELECT NEW.holding_id, NEW.place, NEW.audience_id, x.*
        FROM indicators_tokenvalue v CROSS JOIN LATERAL exchange_span(v.subkind, v.value) x
        WHERE v.id = NEW.token_value_id AND NEW.audience_id IS NOT NULL;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER spans_follow_what_is_carried AFTER INSERT ON indicators_carries FOR EACH ROW
    WHEN (NEW.subkind IN ({kinds})) EXECUTE FUNCTION exchange_carries_span();
CREATE TRIGGER spans_follow_what_changes AFTER UPDATE ON indicators_carries FOR EACH ROW
    WHEN (NEW.subkind IN ({kinds}) OR OLD.subkind IN ({kinds})) EXECUTE FUNCTION exchange_carries_span();
CREATE TRIGGER spans_follow_what_goes AFTER DELETE ON indicators_carries FOR EACH ROW
    WHEN (OLD.subkind IN ({kinds})) EXECUTE FUNCTION exchange_carries_span();
""".format(kinds="'net', 'ipv4-addr:value', 'ipv6-addr:value', 'bin_range'")
_UNFOLLOW = """
DROP TRIGGER spans_follow_what_is_carried ON indicators_carries;
DROP TRIGGER spans_follow_what_changes ON indicators_carries;
DROP TRIGGER spans_follow_what_goes ON indicators_carries;
DROP FUNCTION exchange_carries_span();
"""
# What is stored, and the words of its rows of the log. Two that overlap and were both published before are not found by
# their rows, which nothing changes (`linked`), until one of them is told again.
_FILL = """
INSERT INTO indicators_span (holding_id, place, audience_id, net, ends, low, high)
SELECT k.holding_id, k.place, k.audience_id, x.*
FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
CROSS JOIN LATERAL exchange_span(v.subkind, v.value) x
WHERE k.audience_id IS NOT NULL AND k.subkind IN ('net', 'ipv4-addr:value', 'ipv6-addr:value', 'bin_range')
ON CONFLICT DO NOTHING;
UPDATE indicators_change c
SET traits = c.traits || hashtext(concat_ws(' ', 'matched', c.channel, c.seq >> 15))
FROM indicators_span s JOIN indicators_holding h ON h.id = s.holding_id
WHERE c.version_id = h.newest_id AND c.op = 'upsert';
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0041_breaker")]
    operations = [
        migrations.CreateModel(
            "Span",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "holding", "place", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("place", models.SmallIntegerField()),
                ("net", models.GenericIPAddressField(null=True)),
                ("ends", models.GenericIPAddressField(null=True)),
                ("low", models.IntegerField(null=True)),
                ("high", models.IntegerField(null=True)),
                (
                    "audience",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="partners.audience",
                    ),
                ),
                (
                    "holding",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.DO_NOTHING,
                        related_name="+",
                        to="indicators.holding",
                    ),
                ),
            ],
            options={
                "base_manager_name": "unrestricted",
                "indexes": [
                    models.Index(fields=["audience", "net", "low", "holding"], name="span_by_audience"),
                    models.Index(fields=["net"], name="span_by_network", condition=~Q(net=None)),
                    models.Index(fields=["low"], name="span_by_range", condition=~Q(low=None)),
                ],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RunSQL(_SPAN, "DROP FUNCTION exchange_span(text, text)"),
        migrations.RunSQL(_FOLLOW, _UNFOLLOW),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
    ]
