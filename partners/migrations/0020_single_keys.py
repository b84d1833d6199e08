"""Whether single keys act on somebody's pages."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("partners", "0019_default_audience_was_set"),
    ]

    operations = [
        migrations.AddField(
            model_name="user",
            name="single_keys",
            field=models.BooleanField(
                db_default=True,
                default=True,
                help_text="Whether single keys act on the portal's pages (WCAG 2.1.4).",
            ),
        ),
    ]
