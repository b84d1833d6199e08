"""Publisher alone finds nothing better than the indexes made for each question do."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("indicators", "0003_stixobject_spec_version"),
        ("partners", "0002_audit_is_append_only"),
    ]

    operations = [
        migrations.AlterField(
            model_name="change",
            name="publisher",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
            ),
        ),
        migrations.AlterField(
            model_name="stixobject",
            name="publisher",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name="+", to="partners.partner"
            ),
        ),
    ]
