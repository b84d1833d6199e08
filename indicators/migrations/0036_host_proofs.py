"""Whether what members name as their own hosts is proven; what was named before counts as proven, as it did."""

import django.db.models.deletion
from django.db import migrations, models

_PROVEN_BEFORE = """
UPDATE indicators_servicehost SET proven_at = since, proven_by = 'before';
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0035_snapshots"), ("partners", "0013_no_tellings")]
    operations = [
        *(
            migrations.AddField("servicehost", name, field)
            for name, field in (
                ("challenge", models.CharField(max_length=64, default="", db_default="")),
                ("proven_at", models.DateTimeField(null=True)),
                ("proven_by", models.CharField(max_length=120, default="", db_default="", help_text="`dns`, or a partner's slug.")),
                ("ask_at", models.DateTimeField(null=True, help_text="When its DNS is to be asked next; null: not by itself.")),
                ("asked_at", models.DateTimeField(null=True, help_text="When its DNS was asked last, without finding the challenge.")),
            )
        ),
        migrations.RunSQL(_PROVEN_BEFORE, migrations.RunSQL.noop),
        migrations.AddConstraint(
            "servicehost",
            models.CheckConstraint(
                condition=models.Q(("proven_at", None), ("ask_at", None), _connector="OR"),
                name="what_is_proven_is_asked_for_no_more",
            ),
        ),
        migrations.AddIndex(
            "servicehost",
            models.Index(condition=models.Q(("ask_at", None), _negated=True), fields=["ask_at"], name="host_to_be_asked_for"),
        ),
        migrations.CreateModel(
            "Unlisted",
            fields=[
                (
                    "pk",
                    models.CompositePrimaryKey(
                        "partner", "token_value", blank=True, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "partner",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="partners.partner",
                    ),
                ),
                (
                    "token_value",
                    models.ForeignKey(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.CASCADE,
                        related_name="+",
                        to="indicators.tokenvalue",
                    ),
                ),
            ],
        ),
    ]
