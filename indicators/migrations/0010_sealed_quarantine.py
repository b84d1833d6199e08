"""Quarantine: what holds payment data or a secret goes for good; the rest is sealed, one row for each partner and id."""

import uuid

from django.db import migrations, models

from exchange import sealing

_REFUSED_NOW = ("card-number", "secret")


def seal(apps, schema_editor):
    rows = apps.get_model("indicators", "Quarantined")._base_manager
    rows.filter(code__in=_REFUSED_NOW).delete()
    newest = rows.order_by("partner_id", "stix_id", "-at", "-pk").distinct("partner_id", "stix_id").values("pk")
    rows.exclude(pk__in=list(newest.values_list("pk", flat=True))).delete()
    for row in rows.order_by("pk").iterator(chunk_size=500):
        row.entry = uuid.uuid4()
        bound = (row.partner_id.bytes, row.entry.bytes)
        row.sealed = sealing.seal(row.body.encode(), purpose="quarantine", bound=bound)
        row.save(update_fields=["entry", "sealed"])


class Migration(migrations.Migration):
    dependencies = [("indicators", "0009_service_hosts")]
    operations = [
        migrations.AddField("quarantined", "entry", models.UUIDField(null=True, editable=False)),
        migrations.AddField("quarantined", "sealed", models.BinaryField(null=True)),
        migrations.RunPython(seal, migrations.RunPython.noop),
        migrations.RemoveField("quarantined", "body"),
        migrations.AlterField(
            "quarantined",
            "entry",
            models.UUIDField(unique=True, default=uuid.uuid4, editable=False, help_text="Names it; the key counts."),
        ),
        migrations.AlterField(
            "quarantined",
            "sealed",
            models.BinaryField(
                help_text="The bytes as sent, sealed (`exchange.sealing`), bound to partner and entry."
            ),
        ),
        migrations.AddConstraint(
            "quarantined",
            models.UniqueConstraint(fields=["partner", "stix_id"], name="one_quarantined_object_per_partner_and_id"),
        ),
        migrations.AddIndex(
            "quarantined", models.Index(fields=["partner", "-at", "-entry"], name="quarantined_by_partner_and_at")
        ),
    ]
