"""The public key of another exchange's log, how that log stands, and its signed heads."""

import django.db.models.deletion
import django.db.models.manager
import exchange.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indicators', '0067_what_is_due_to_a_partner'),
        ('partners', '0017_terms_of_recipients'),
    ]

    operations = [
        migrations.AddField(
            model_name='connection',
            name='log_alarm',
            field=models.CharField(db_default='', default='', help_text='What is wrong with that log (`heads.Alarm`): nothing passes.', max_length=12),
        ),
        migrations.AddField(
            model_name='connection',
            name='log_key',
            field=models.CharField(db_default='', default='', help_text="The public key of the other exchange's log, in hex.", max_length=64),
        ),
        migrations.AddField(
            model_name='connection',
            name='log_seen_at',
            field=models.DateTimeField(help_text='When that log was looked at last.', null=True),
        ),
        migrations.CreateModel(
            name='PeerHead',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('size', models.BigIntegerField()),
                ('root', models.BinaryField(max_length=32)),
                ('at', models.DateTimeField(help_text='When it was signed, by its own clock.')),
                ('key_id', models.CharField(max_length=16)),
                ('signature', models.CharField(max_length=100)),
                ('proof', models.JSONField(default=list, help_text='Hashes, from the head that was kept before it.')),
                ('seen_at', models.DateTimeField(default=exchange.clock.now)),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='indicators.connection')),
                ('partner', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.partner')),
            ],
            options={
                'base_manager_name': 'unrestricted',
                'constraints': [models.UniqueConstraint(fields=('connection', 'size'), name='one_head_per_connection_and_size')],
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unrestricted', django.db.models.manager.Manager()),
            ],
        ),
    ]
