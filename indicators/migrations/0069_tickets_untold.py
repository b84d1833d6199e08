"""Tickets whose publishers are to be told that they are overdue: also what was revoked and came back."""

from django.db import migrations, models

WHY = "Before 1.0: the index is made of the tickets that are open, while who writes one waits."


class Migration(migrations.Migration):
    dependencies = [("indicators", "0068_logs_of_peers")]
    operations = [
        migrations.AddIndex(
            "ticket",
            models.Index(
                fields=["due_at"],
                condition=models.Q(models.Q(("outcome", "kept"), _negated=True), ("told", False)),
                name="ticket_untold",
            ),
        ),
        migrations.RemoveIndex("ticket", "ticket_due"),
    ]
