"""Keep how each person wants to be told by e-mail."""

import uuid

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import exchange.clock


class Migration(migrations.Migration):
    dependencies = [
        ("indicators", "0042_spans"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            "Digest",
            [
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                (
                    "every",
                    models.CharField(
                        choices=[("daily", "Every day"), ("hourly", "Every hour"), ("off", "Never")],
                        default="off",
                        max_length=6,
                    ),
                ),
                ("hour", models.SmallIntegerField(default=8, help_text="Of the daily one, by the person's own clock.")),
                ("time_zone", models.CharField(default="UTC", max_length=64)),
                (
                    "quiet_from",
                    models.SmallIntegerField(help_text="The first hour in which nothing is sent.", null=True),
                ),
                ("quiet_until", models.SmallIntegerField(help_text="The first hour after it.", null=True)),
                (
                    "told_at",
                    models.DateTimeField(default=exchange.clock.now, help_text="What came later is not told yet."),
                ),
                ("seq", models.BigIntegerField(default=0, help_text="The same, as a place in the log.")),
                ("due_at", models.DateTimeField(null=True)),
                (
                    "feeds",
                    models.JSONField(default=list, help_text="Ids of feeds; of those that are gone nothing is told."),
                ),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=models.Q(("due_at__isnull", False)), fields=["due_at"], name="digest_due")
                ]
            },
        ),
    ]
