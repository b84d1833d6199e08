"""Whether one opinion on many takes the place of what colleagues said; what is under way was begun without a question."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0083_the_marking_that_was_shown")]
    operations = [
        migrations.AddField("judging", "over_until", models.DateTimeField(null=True)),
    ]
