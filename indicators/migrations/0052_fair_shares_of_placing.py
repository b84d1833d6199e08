"""Labs take turns in the queue of placing, and a token that is on many accounts is noted as one that votes no more.

The indexes for it: 0060.
"""

import uuid

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0051_judging_many")]
    operations = [
        migrations.AddField(
            "stir",
            "lab",
            models.UUIDField(
                default=uuid.UUID(int=0),
                db_default=uuid.UUID(int=0),
                help_text="Whose call it came of; zero: of nobody's.",
            ),
        ),
        migrations.AddField(
            "puretoken",
            "votes",
            models.BooleanField(
                db_default=True, help_text="It was on few accounts when these were asked last (`asking`)."
            ),
        ),
    ]
