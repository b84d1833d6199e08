"""Rows of one portion enter the index of traits together: each word once for all of them, instead of once for each."""

import django.contrib.postgres.indexes
from django.db import migrations

# For a moment it takes the index for itself alone: it waits for who has it open, and who comes waits for it. `prepare`
# bounds that wait and tries again. What lies in the list enters the index when it is set back.
_ON = "ALTER INDEX change_by_trait SET (fastupdate = on, gin_pending_list_limit = 256)"
_OFF = """
ALTER INDEX change_by_trait SET (fastupdate = off);
ALTER INDEX change_by_trait RESET (gin_pending_list_limit);
SELECT gin_clean_pending_list('change_by_trait');
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0048_letting_go")]

    operations = [
        migrations.SeparateDatabaseAndState(
            [migrations.RunSQL(_ON, _OFF)],
            [
                migrations.RemoveIndex(model_name="change", name="change_by_trait"),
                migrations.AddIndex(
                    model_name="change",
                    index=django.contrib.postgres.indexes.GinIndex(
                        fastupdate=True, fields=["traits"], gin_pending_list_limit=256, name="change_by_trait"
                    ),
                ),
            ],
        ),
    ]
