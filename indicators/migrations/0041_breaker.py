"""Count how often an endpoint failed in succession, and let a subscription say the shape of its messages."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0040_hosts_by_two_words")]

    operations = [
        migrations.AddField(
            "subscription",
            "format",
            models.CharField(
                choices=[("standard", "Standard Webhooks"), ("slack", "Slack"), ("teams", "Microsoft Teams")],
                db_default="standard",
                default="standard",
                help_text="The shape of its messages.",
                max_length=8,
            ),
        ),
        migrations.AddField(
            "subscription",
            "failures",
            models.IntegerField(
                db_default=0, default=0, help_text="Attempts that failed since the last one that arrived."
            ),
        ),
        migrations.AddField(
            "subscription",
            "opened_at",
            models.DateTimeField(help_text="Since when its breaker is open; None while it is closed.", null=True),
        ),
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    "delivery",
                    "kind",
                    models.CharField(
                        choices=[
                            ("again", "Sent again"),
                            ("changes", "Changes"),
                            ("ping", "Test"),
                            ("replay", "Replayed"),
                            ("start-over", "Start over"),
                        ],
                        db_default="changes",
                        default="changes",
                        max_length=10,
                    ),
                )
            ]
        ),
    ]
