"""Let a feed's filter be changed: sets say under which one they were asked."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indicators', '0046_traced'),
    ]

    operations = [
        migrations.AddField(
            model_name='feed',
            name='changed_at',
            field=models.DateTimeField(help_text='When its filter was last changed.', null=True),
        ),
        migrations.AddField(
            model_name='feedset',
            name='filter',
            field=models.TextField(db_default='', default='', help_text='The scope of the filter that it was asked under.'),
        ),
        # Other words in a column: the database has nothing to do.
        migrations.SeparateDatabaseAndState(
            state_operations=[
                migrations.AlterField(
                    model_name='delivery',
                    name='kind',
                    field=models.CharField(choices=[('again', 'Sent again'), ('changes', 'Changes'), ('refiltered', 'Feed changed'), ('ping', 'Test'), ('replay', 'Replayed'), ('start-over', 'Start over')], db_default='changes', default='changes', max_length=10),
                ),
            ],
        ),
        migrations.AlterField(
            model_name='feedset',
            name='scope',
            field=models.TextField(help_text='The feed, and the groups that the key may see.'),
        ),
    ]
