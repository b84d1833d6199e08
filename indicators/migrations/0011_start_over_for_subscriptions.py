"""What a subscription was last told under, and the message that tells it to start over after a restore."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0010_sealed_quarantine")]
    operations = [
        migrations.AddField(
            "subscription",
            "incarnation",
            models.CharField(
                default="", db_default="", help_text="Of the store, when it was last told to start over.", max_length=16
            ),
        ),
        migrations.AlterField(
            "delivery",
            "kind",
            models.CharField(
                choices=[
                    ("again", "Sent again"),
                    ("changes", "Changes"),
                    ("ping", "Test"),
                    ("start-over", "Start over"),
                ],
                default="changes",
                db_default="changes",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            "delivery",
            models.UniqueConstraint(
                condition=models.Q(("kind", "start-over"), ("state__in", ["due", "sending"])),
                fields=("subscription",),
                name="one_start_over_under_way_per_subscription",
            ),
        ),
    ]
