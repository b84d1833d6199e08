"""Write beside each newest version which entries of lists it gives, where the release before stored it."""

from django.db import migrations, transaction

_PORTION = 1_000
# Who is about to write one of these is not waited for: what is left out stays to be asked.
_LOCK = """
SELECT o.id FROM indicators_stixobject o WHERE o.id > %(after)s AND o.id <= %(last)s AND o.listed IS NULL
ORDER BY o.id FOR NO KEY UPDATE SKIP LOCKED
"""
# A statement of its own: it sees what those committed who had locked the rows before.
_FILL = r"""
UPDATE indicators_stixobject o
SET listed = (
    SELECT '[' || coalesce(string_agg(
               '{"kind":' || to_json(coalesce(o.kind, h.stix_type)::text)::text
               || ',"subkind":' || to_json(k.subkind::text)::text || ',"scheme":' || to_json(v.scheme::text)::text
               || ',"key_epoch":' || to_json(coalesce(e.name, '')::text)::text
               || ',"value":' || to_json(v.value::text)::text || '}', ',' ORDER BY k.place), '') || ']'
    FROM indicators_carries k JOIN indicators_tokenvalue v ON v.id = k.token_value_id
    LEFT JOIN indicators_epoch e ON e.id = v.epoch_id
    WHERE k.holding_id = h.id AND k.suppressed_by = '')
FROM indicators_holding h
WHERE o.id = ANY(%(locked)s) AND h.id = o.holding_id AND h.newest_id = o.id
"""


def fill(apps, schema_editor):
    with schema_editor.connection.cursor() as cursor:
        cursor.execute("SELECT coalesce(min(id), 1) - 1, coalesce(max(id), 0) FROM indicators_stixobject")
        after, end = cursor.fetchone()
        while after < end:
            with transaction.atomic(using=schema_editor.connection.alias):
                cursor.execute(_LOCK, {"after": after, "last": after + _PORTION})
                locked = [pk for (pk,) in cursor.fetchall()]
                cursor.execute(_FILL, {"locked": locked})
            after += _PORTION


class Migration(migrations.Migration):
    atomic = False  # in portions
    dependencies = [("indicators", "0057_entering_again")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
