"""Have clusters that may be campaigns looked at again: what is corroborated in them has another rule since this release."""

from django.db import migrations

WHY = "Before 1.0: one short statement over clusters of ten accounts and more; clustering waits for it."

_LOOK = """
UPDATE indicators_cluster SET due = statement_timestamp() WHERE due IS NULL AND NOT dirty AND accounts >= 10
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0053_tokens_as_told")]
    operations = [migrations.RunSQL(_LOOK, migrations.RunSQL.noop)]
