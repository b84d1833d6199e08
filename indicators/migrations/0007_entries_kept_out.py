"""What keeps a value out of lists, beside the value."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("indicators", "0006_ids_in_lower_case"),
    ]

    operations = [
        migrations.AddField(
            model_name="token",
            name="suppressed_by",
            field=models.CharField(db_default="", default="", help_text="What keeps it out of lists (`door.entries`); empty: nothing.", max_length=20),
        ),
    ]
