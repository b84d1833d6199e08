"""Keys that open one list and nothing else."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0014_exchange_as_publisher'),
    ]

    operations = [
        migrations.AddField(
            model_name='apikey',
            name='only',
            field=models.CharField(blank=True, db_default='', default='', help_text='The one thing that it opens, in the word of the room that asked for it; empty: what its scopes say.', max_length=80),
        ),
    ]
