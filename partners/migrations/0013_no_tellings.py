"""No audience is made any more for what is told to partners by name: that has channels of its own."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("partners", "0012_evidence")]
    operations = [
        migrations.AlterField(
            "audience",
            "use",
            models.CharField(
                choices=[("objects", "Of objects"), ("withdrawn", "Of what its publisher took back")],
                default="objects",
                max_length=9,
            ),
        ),
    ]
