"""Connections to MISP: what is said of all that comes in, and of each which event said it. Its index: 0060."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0058_list")]

    operations = [
        migrations.AddField(
            model_name="connection",
            name="says",
            field=models.JSONField(db_default={}, default=dict, help_text="Of a pull from MISP: what is said of all."),
        ),
        migrations.AddField(
            model_name="passed",
            name="digest",
            field=models.BinaryField(help_text="Of MISP: SHA-256 of what was said of it.", max_length=32, null=True),
        ),
        migrations.AddField(
            model_name="passed",
            name="source",
            field=models.CharField(
                db_default="", default="", help_text="Of MISP: the event that says it.", max_length=80
            ),
        ),
        migrations.AlterField(
            model_name="connection",
            name="kind",
            field=models.CharField(choices=[("misp", "MISP"), ("taxii", "TAXII 2.1")], max_length=8),
        ),
        migrations.AlterField(
            model_name="connection",
            name="url",
            field=models.CharField(help_text="Of a TAXII collection, or of a MISP.", max_length=1000),
        ),
    ]
