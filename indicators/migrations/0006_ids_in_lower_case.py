"""Holdings are found by their id in lower case: a UUID in capitals is the same UUID. The bytes stay as they came.

All versions of a holding move together. Where a publisher holds an id in two spellings, both stay as they are.
"""

from django.db import migrations

_FOLD = """
UPDATE indicators_stixobject o SET stix_id = lower(o.stix_id)
WHERE o.stix_id <> lower(o.stix_id) AND NOT EXISTS (
    SELECT FROM indicators_stixobject t
    WHERE lower(t.stix_id) = lower(o.stix_id) AND t.publisher_id = o.publisher_id AND t.stix_id <> o.stix_id);
INSERT INTO indicators_sharedid (stix_id)
SELECT lower(stix_id) FROM indicators_sharedid WHERE stix_id <> lower(stix_id)
ON CONFLICT DO NOTHING;
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0005_groups_of_a_batch")]
    operations = [migrations.RunSQL(_FOLD, migrations.RunSQL.noop)]
