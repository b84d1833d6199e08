"""Schedules of report packages; a package says under which terms of its recipient, and as what, it is given."""

import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.manager
import exchange.clock
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indicators', '0063_tokens_in_their_own_time'),
        ('partners', '0017_terms_of_recipients'),
    ]

    operations = [
        migrations.AddField(
            model_name='reportpackage',
            name='forms',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=4), db_default=models.Value([], django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=4))), default=list, help_text='As what it is given (`RecipientTerms.Form`); empty: as all.'),
        ),
        migrations.AddField(
            model_name='reportpackage',
            name='gathered_at',
            field=models.DateTimeField(help_text='When a schedule put it together.', null=True),
        ),
        migrations.AddField(
            model_name='reportpackage',
            name='terms',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='reports', to='partners.recipientterms'),
        ),
        migrations.AlterField(
            model_name='reportpackage',
            name='root',
            field=models.CharField(help_text='The STIX id that it begins with; empty where it is of a feed.', max_length=300),
        ),
        migrations.AlterField(
            model_name='reportpackage',
            name='state',
            field=models.CharField(choices=[('discarded', 'Discarded'), ('drafted', 'Draft'), ('prepared', 'Waits for release'), ('released', 'Released')], default='prepared', max_length=10),
        ),
        migrations.CreateModel(
            name='ReportSchedule',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('name', models.CharField(max_length=120)),
                ('root', models.CharField(default='', help_text='The STIX id that each begins with.', max_length=300)),
                ('forms', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=4), default=list, help_text='Empty: what the recipient wants.')),
                ('every', models.CharField(choices=[('month', 'Every month'), ('week', 'Every week')], max_length=5)),
                ('day', models.SmallIntegerField(help_text='Of the week, 1 is Monday; of the month.')),
                ('hour', models.SmallIntegerField(help_text='By the clock of the time zone.')),
                ('time_zone', models.CharField(default='UTC', max_length=64)),
                ('state', models.CharField(choices=[('active', 'Active'), ('ended', 'Ended'), ('paused', 'Paused')], default='active', max_length=6)),
                ('actor', models.CharField(help_text='Who made it: it ends when they do.', max_length=80)),
                ('created_at', models.DateTimeField(default=exchange.clock.now)),
                ('due_at', models.DateTimeField()),
                ('last_at', models.DateTimeField(null=True)),
                ('outcome', models.CharField(default='', max_length=300)),
                ('feed', models.ForeignKey(help_text='Else: what this feed lets through.', null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='indicators.feed')),
                ('partner', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='report_schedules', to='partners.partner')),
                ('recipient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.partner')),
            ],
            options={
                'base_manager_name': 'unrestricted',
            },
            managers=[
                ('objects', django.db.models.manager.Manager()),
                ('unrestricted', django.db.models.manager.Manager()),
            ],
        ),
        migrations.AddField(
            model_name='reportpackage',
            name='schedule',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='packages', to='indicators.reportschedule'),
        ),
        migrations.AddIndex(
            model_name='reportschedule',
            index=models.Index(condition=models.Q(('state', 'active')), fields=['due_at'], name='report_schedule_by_due'),
        ),
        migrations.AddConstraint(
            model_name='reportschedule',
            constraint=models.UniqueConstraint(condition=models.Q(('state', 'ended'), _negated=True), fields=('partner', 'name'), name='one_report_schedule_per_partner_and_name'),
        ),
        migrations.AddConstraint(
            model_name='reportschedule',
            constraint=models.CheckConstraint(condition=models.Q(('state', 'ended'), models.Q(('root', ''), ('feed__isnull', False)), models.Q(models.Q(('root', ''), _negated=True), ('feed', None)), _connector='OR'), name='a_report_schedule_is_of_a_root_or_a_feed'),
        ),
    ]
