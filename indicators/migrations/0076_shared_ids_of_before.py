"""Note the ids that several publishers hold already; what enters meanwhile, the database notes itself.

Reads the index by id and publisher once; sorted by count, so that all is read before the first of the few is written:
who brings one of these ids waits for this transaction, with the order lock in hand.
"""

from django.db import migrations

_NOTE = """
INSERT INTO indicators_sharedid (stix_id)
SELECT stix_id FROM indicators_holding GROUP BY stix_id HAVING count(*) > 1 ORDER BY count(*), stix_id
ON CONFLICT DO NOTHING
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0075_shared_ids")]
    operations = [migrations.RunSQL(_NOTE, migrations.RunSQL.noop)]
