"""Indexes for 0052 (labs take turns in the queue of placing) and 0059 (what an event says), made beside who writes.

Each step may be done already: what a run did that gave up on a lock stays. `prepare` drops an index that is half made.
"""

from django.db import migrations, models

_ADD_STIR = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS stir_by_group_and_lab ON indicators_stir (group_id, kind, lab, id)
"""
_ADD_PLACED = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS placed_to_be_asked ON indicators_placed (group_id, looked_at, partner_id)
WHERE campaign IS NULL OR elected
"""
_ADD_PASSED = """
CREATE INDEX CONCURRENTLY IF NOT EXISTS passed_by_source ON indicators_passed (connection_id, source)
WHERE NOT source = ''
"""
_REMOVE_STIR = "DROP INDEX CONCURRENTLY IF EXISTS stir_by_group"
_REMOVE_PLACED = "DROP INDEX CONCURRENTLY IF EXISTS placed_to_be_elected"


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("indicators", "0059_connections_to_misp")]
    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(_ADD_STIR, migrations.RunSQL.noop),
                migrations.RunSQL(_REMOVE_STIR, migrations.RunSQL.noop),
                migrations.RunSQL(_ADD_PLACED, migrations.RunSQL.noop),
                migrations.RunSQL(_REMOVE_PLACED, migrations.RunSQL.noop),
                migrations.RunSQL(_ADD_PASSED, migrations.RunSQL.noop),
            ],
            state_operations=[
                migrations.RemoveIndex("stir", "stir_by_group"),
                migrations.AddIndex(
                    "stir", models.Index(fields=["group", "kind", "lab", "id"], name="stir_by_group_and_lab")
                ),
                migrations.RemoveIndex("placed", "placed_to_be_elected"),
                migrations.AddIndex(
                    "placed",
                    models.Index(
                        fields=["group", "looked_at", "partner"],
                        condition=models.Q(("campaign", None), ("elected", True), _connector="OR"),
                        name="placed_to_be_asked",
                    ),
                ),
                migrations.AddIndex(
                    "passed",
                    models.Index(
                        condition=models.Q(("source", ""), _negated=True),
                        fields=["connection", "source"],
                        name="passed_by_source",
                    ),
                ),
            ],
        ),
    ]
