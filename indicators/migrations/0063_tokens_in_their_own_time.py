"""When a campaign's tokens were kept last has a column of its own: it moves no date that the campaign's readers see."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0062_a_run_is_of_one_generation")]
    operations = [
        migrations.AddField(
            "Campaign",
            "carried_at",
            models.DateTimeField(null=True, help_text="When its rows of ToldToken changed last; told to nobody."),
        ),
    ]
