"""Labs take turns in the queue of placing, and a token that is on many accounts is noted as one that votes no more."""

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
        migrations.RemoveIndex("stir", "stir_by_group"),
        migrations.AddIndex("stir", models.Index(fields=["group", "kind", "lab", "id"], name="stir_by_group_and_lab")),
        migrations.AddField(
            "puretoken",
            "votes",
            models.BooleanField(
                db_default=True, help_text="It was on few accounts when these were asked last (`asking`)."
            ),
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
    ]
