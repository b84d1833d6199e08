"""Whether a default audience was ever set: a key sets the first one, and no other after it."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0018_invitations_of_keys'),
    ]

    operations = [
        migrations.AddField(
            model_name='partner',
            name='default_audience_was_set',
            field=models.BooleanField(db_default=False, default=False, help_text='Whether one ever was: from then on a person alone sets it anew.'),
        ),
        migrations.RunSQL(
            "UPDATE partners_partner SET default_audience_was_set = true WHERE default_audience IS NOT NULL",
            migrations.RunSQL.noop,
        ),
    ]
