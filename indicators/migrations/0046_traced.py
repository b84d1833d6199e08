"""Keep under which trace a commit was made, where traces are on."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("indicators", "0045_untold")]

    operations = [
        migrations.CreateModel(
            "Traced",
            [
                ("last_seq", models.BigIntegerField(primary_key=True, serialize=False)),
                ("carried", models.CharField(help_text="The span, as a W3C `traceparent`.", max_length=55)),
                ("written_at", models.DateTimeField(db_default=Now())),
            ],
            options={"indexes": [models.Index(fields=["written_at"], name="traced_by_time")]},
        ),
    ]
