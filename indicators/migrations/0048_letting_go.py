from django.db import migrations, models

WHY = "No row is read or written: the words of `kind` are Django's alone, and `looked_at` may be null from now on."


class Migration(migrations.Migration):
    dependencies = [("indicators", "0047_feeds_change")]

    operations = [
        migrations.AlterField(
            model_name="stir",
            name="kind",
            field=models.CharField(
                choices=[
                    ("left", "An account that is gone, or carries something else"),
                    ("place", "An account that has no place yet"),
                    ("token", "A token that became pure, or is no longer"),
                    ("letgo", "A token that an account carries no more"),
                ],
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="placed",
            name="looked_at",
            field=models.DateTimeField(help_text="When its rare tokens were asked; null: to be asked.", null=True),
        ),
    ]
