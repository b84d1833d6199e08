"""Keep which file holds the ranges of a feed's list."""

import django.db.models.deletion
import django.db.models.manager
from django.db import migrations, models

import exchange.clock


class Migration(migrations.Migration):
    dependencies = [("indicators", "0043_digests")]

    operations = [
        migrations.CreateModel(
            "RangeFile",
            [
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("name", models.CharField(blank=True, help_text="Of its file, without how it ends.", max_length=32)),
                ("place", models.BigIntegerField(default=0)),
                ("entries", models.BigIntegerField(default=0)),
                ("made_at", models.DateTimeField(null=True)),
                ("asked_at", models.DateTimeField(default=exchange.clock.now)),
                (
                    "claimed_until",
                    models.DateTimeField(help_text="Until when nobody but one worker makes it.", null=True),
                ),
                (
                    "feed_set",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE, related_name="+", to="indicators.feedset"
                    ),
                ),
            ],
            options={"base_manager_name": "unrestricted"},
            managers=[
                ("objects", django.db.models.manager.Manager()),
                ("unrestricted", django.db.models.manager.Manager()),
            ],
        ),
    ]
