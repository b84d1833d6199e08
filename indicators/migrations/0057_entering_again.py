"""An index of the versions that entered again alone: pages of the log ask it for each row."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models

WHY = "Before 1.0: no log was divided yet."


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("indicators", "0056_listed")]
    operations = [
        AddIndexConcurrently(
            "change",
            models.Index(
                fields=["version_id", "seq"], condition=models.Q(("again", True)), name="version_that_enters_again"
            ),
        ),
    ]
