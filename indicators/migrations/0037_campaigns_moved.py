"""What most of the labs in a campaign say of it: that it is two, or one with another."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0036_host_proofs")]

    operations = [
        migrations.AddField(
            model_name="campaign",
            name="parted",
            field=models.IntegerField(
                default=0,
                db_default=0,
                help_text="Most of the labs in it say that it is two: parts join on so many tokens; 1: to be found.",
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="spans",
            field=models.BooleanField(
                default=False, db_default=False, help_text="Most labs say of what it joined that it is one with it."
            ),
        ),
        migrations.AddField(
            model_name="campaign",
            name="one_with",
            field=models.UUIDField(help_text="Most labs say that it is one with this: to be joined.", null=True),
        ),
    ]
