"""The STIX version of each object, which TAXII clients may ask for."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0002_log_is_append_only")]
    operations = [
        migrations.AddField(
            "stixobject",
            "spec_version",
            models.CharField(default="2.1", help_text="As written or implied (STIX 2.1 §3.2).", max_length=3),
        )
    ]
