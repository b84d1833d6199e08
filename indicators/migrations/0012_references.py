"""What each version points to. `reread` fills it from the bytes of what is stored (`rereading.FORM`)."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0011_start_over_for_subscriptions")]
    operations = [
        migrations.CreateModel(
            "Reference",
            [
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "version", "place", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "version",
                    models.ForeignKey(
                        db_constraint=False,
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="references",
                        to="indicators.stixobject",
                    ),
                ),
                ("place", models.SmallIntegerField(help_text="Among the references of its version.")),
                ("path", models.CharField(max_length=400)),
                (
                    "target_id",
                    models.CharField(help_text="A STIX id, in lower case; nobody may hold it.", max_length=300),
                ),
            ],
            options={
                "base_manager_name": "unrestricted",
                "indexes": [models.Index(fields=["target_id", "path"], name="reference_by_target")],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
        migrations.RemoveIndex("stixobject", "object_that_links"),
    ]
