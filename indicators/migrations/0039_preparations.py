"""Keep what people prepare in the portal to publish."""

import uuid

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import exchange.clock


class Migration(migrations.Migration):
    dependencies = [("indicators", "0038_urgent_deliveries"), ("partners", "0013_no_tellings")]
    operations = [
        migrations.CreateModel(
            "Preparation",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("actor", models.CharField(max_length=120)),
                ("name", models.CharField(max_length=120)),
                ("tlp", models.SmallIntegerField()),
                ("rows", models.JSONField(default=list)),
                ("created_at", models.DateTimeField(default=exchange.clock.now)),
                ("changed_at", models.DateTimeField(default=exchange.clock.now)),
                (
                    "partner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
                    ),
                ),
            ],
            options={
                "base_manager_name": "unrestricted",
                "indexes": [models.Index(fields=["partner", "-changed_at"], name="preparation_by_partner")],
            },
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
    ]
