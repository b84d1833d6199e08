"""An index of what is due to each partner, made beside who writes: a claim looks at those whose turn it is.

It may be there already: what a run did that gave up on a lock stays. `prepare` drops an index that is half made.
"""

from django.db import migrations, models

_ADD = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS delivery_due_to_partner
ON indicators_delivery (partner_id, urgent DESC, due_at, id) WHERE state = 'due'
"""


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("indicators", "0066_sums_kept_when_they_end")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunSQL(_ADD, migrations.RunSQL.noop)],
            state_operations=[
                migrations.AddIndex(
                    "delivery",
                    models.Index(
                        condition=models.Q(("state", "due")),
                        fields=["partner", "-urgent", "due_at", "id"],
                        name="delivery_due_to_partner",
                    ),
                )
            ],
        )
    ]
