"""An index of dissents by time: what ended disputed is found by them."""

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies = [("indicators", "0081_what_is_said_is_due")]
    operations = [
        AddIndexConcurrently(
            "opinion",
            models.Index(condition=models.Q(("says__lt", 0)), fields=["at"], name="dissent_by_time"),
        ),
    ]
