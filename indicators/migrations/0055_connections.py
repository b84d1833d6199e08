"""Connections to the servers of others, and what passed by them."""

import django.db.models.deletion
import django.db.models.manager
import exchange.clock
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indicators', '0054_looked_at_again'),
        ('partners', '0016_allies'),
    ]

    operations = [
        migrations.CreateModel(
            name='Connection',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('kind', models.CharField(choices=[('taxii', 'TAXII 2.1')], max_length=8)),
                ('direction', models.CharField(choices=[('pull', 'Pull from it'), ('push', 'Push to it')], max_length=8)),
                ('url', models.CharField(help_text='Of a TAXII collection.', max_length=1000)),
                ('credential', models.TextField(default='', help_text='The Authorization header, sealed, bound to the connection and its address.')),
                ('state', models.CharField(choices=[('active', 'Active'), ('ended', 'Ended'), ('paused', 'Paused')], default='active', max_length=8)),
                ('actor', models.CharField(help_text='Who made it.', max_length=80)),
                ('created_at', models.DateTimeField(default=exchange.clock.now)),
                ('strictest', models.SmallIntegerField(choices=[(0, 'TLP:CLEAR'), (1, 'TLP:GREEN'), (2, 'TLP:AMBER'), (3, 'TLP:AMBER+STRICT'), (4, 'TLP:RED')], default=1, help_text='What is stricter does not pass.')),
                ('reach', models.JSONField(default=dict, help_text='Of a pull: the audience of what comes in (`publishing.Reach`).')),
                ('every_s', models.IntegerField(default=60, help_text='Seconds between two runs.')),
                ('place', models.JSONField(default=dict, help_text='How far it has come, in the words of its kind.')),
                ('due_at', models.DateTimeField(default=exchange.clock.now)),
                ('claimed_until', models.DateTimeField(null=True)),
                ('failures', models.IntegerField(default=0, help_text='Runs that failed since the last that did not.')),
                ('failing_since', models.DateTimeField(null=True)),
                ('last_at', models.DateTimeField(null=True)),
                ('outcome', models.CharField(default='', max_length=300)),
                ('counts', models.JSONField(default=dict, help_text='By answer, how many objects since it was made.')),
                ('last_batch', models.UUIDField(help_text='The last push that something was refused of.', null=True)),
                ('feed', models.ForeignKey(help_text='Of a push.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='indicators.feed')),
                ('partner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='connections', to='partners.partner')),
            ],
            options={
                'base_manager_name': 'unrestricted',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unrestricted', django.db.models.manager.Manager()),
            ],
        ),
        migrations.CreateModel(
            name='Passed',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('stix_id', models.CharField(max_length=300)),
                ('at', models.DateTimeField(default=exchange.clock.now, help_text='When it passed, or was found there, last.')),
                ('gone', models.BooleanField(default=False, help_text='Taken back because it is not there any more, or too strict.')),
                ('connection', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='passed', to='indicators.connection')),
                ('partner', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.partner')),
            ],
            options={
                'base_manager_name': 'unrestricted',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unrestricted', django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddIndex(
            model_name='connection',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['due_at'], name='connection_by_due'),
        ),
        migrations.AddConstraint(
            model_name='connection',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'ended'), _negated=True), fields=('partner', 'name'), name='one_connection_per_partner_and_name'),
        ),
        migrations.AddConstraint(
            model_name='connection',
            constraint=models.CheckConstraint(condition=models.Q(('strictest__lt', 4)), name='red_passes_no_connection'),
        ),
        migrations.AddIndex(
            model_name='passed',
            index=models.Index(fields=['partner', 'stix_id'], name='passed_by_partner_and_id'),
        ),
        migrations.AddConstraint(
            model_name='passed',
            constraint=models.UniqueConstraint(fields=('connection', 'stix_id'), name='an_object_passes_a_connection_once'),
        ),
    ]
