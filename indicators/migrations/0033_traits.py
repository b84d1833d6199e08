"""Rows of the log say what filters look for, and an index leads to them."""

import django.contrib.postgres.fields
import django.contrib.postgres.indexes
from django.db import migrations, models

# As `log.traits` writes it.
_FILL = """
UPDATE indicators_change c SET traits = ARRAY(SELECT hashtext(concat_ws(' ', w, c.channel, c.seq >> 15)) FROM unnest(said.words) w WHERE w IS NOT NULL)
FROM (
    SELECT o.id, 
ARRAY[concat('type=', h.stix_type), concat('kind=', CASE WHEN o.kind IN ('account-pattern', 'payment-fingerprint', 'prompt-signature') THEN o.kind ELSE 'none' END), concat('subkind=', CASE WHEN o.subkind IN ('billing_rule', 'bin_range', 'client_fp', 'cluster_rule', 'crypto_addr', 'device', 'email', 'email_domain', 'feature_rule', 'gateway_host', 'iban_token', 'net', 'nova_rule', 'pan_token', 'par', 'phone', 'phrase', 'psp_fp', 'regex', 'signup_template', 'skeleton') THEN o.subkind ELSE 'none' END),
      concat('severity=', CASE WHEN o.severity IN ('critical', 'high', 'low', 'medium') THEN o.severity ELSE 'none' END),
      concat('confidence=', CASE WHEN o.confidence >= 0 THEN least(o.confidence / 10, 10) ELSE -1 END),
      concat('tlp=', a.tlp), concat('publisher=', h.publisher_id),
      to_char(o.modified AT TIME ZONE 'UTC', '"age="YYYYMMDD'),
      CASE WHEN o.modified >= '2030-01-01Z' THEN 'age=later'
           WHEN o.modified < '2025-01-01Z' THEN 'age=past'
           ELSE to_char(o.modified AT TIME ZONE 'UTC', '"age="YYYYMM') END,
      to_char(o.valid_until AT TIME ZONE 'UTC', '"until="YYYYMMDD'),
      CASE WHEN o.valid_until IS NULL OR o.valid_until >= '2030-01-01Z' THEN 'until=later'
           WHEN o.valid_until < '2025-01-01Z' THEN 'until=past'
           ELSE to_char(o.valid_until AT TIME ZONE 'UTC', '"until="YYYYMM') END,
      CASE WHEN 
EXISTS (SELECT FROM indicators_carries own WHERE own.holding_id = h.id AND own.suppressed_by <> 'pattern-hash')
 THEN 'entries=true' ELSE 'entries=false' END,
      CASE WHEN 
EXISTS (SELECT FROM indicators_carries own JOIN indicators_tokenvalue v ON v.id = own.token_value_id AND v.shared
        WHERE own.holding_id = h.id)
 THEN 'matched' END, CASE WHEN EXISTS (SELECT FROM indicators_opinion j WHERE j.holding_id = h.id) THEN 'judged' END]
|| ARRAY(SELECT concat('group=', g) FROM unnest(a.groups) g)
|| coalesce(o.facets, '{}')
 AS words
    FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id
    JOIN partners_audience a ON a.id = h.audience_id
) said
WHERE c.version_id = said.id AND (c.op = 'upsert' OR c.reason = 'revoked')
"""
# What was told is never changed; what filters look for is no part of it.
_COLUMNS = "channel, seq, date_added, holding_id, version_id, op, reason, tlp, again, linked"
_GUARD = """
DROP TRIGGER log_is_append_only ON indicators_change;
CREATE TRIGGER log_is_append_only BEFORE UPDATE {of} ON indicators_change
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0032_appeals")]

    operations = [
        migrations.AddField(
            model_name="change",
            name="traits",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.IntegerField(),
                help_text="What filters look for, as numbers (`log.traits`); of entries alone.",
                null=True,
                size=None,
            ),
        ),
        migrations.RunSQL(_GUARD.format(of=f"OF {_COLUMNS}"), _GUARD.format(of="")),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.AddIndex(
            model_name="change",
            index=django.contrib.postgres.indexes.GinIndex(fastupdate=False, fields=["traits"], name="change_by_trait"),
        ),
    ]
