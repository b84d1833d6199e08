"""On which terms a partner is given report packages."""

import django.contrib.postgres.fields
import django.db.models.deletion
import exchange.clock
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0016_allies'),
    ]

    operations = [
        migrations.CreateModel(
            name='RecipientTerms',
            fields=[
                ('id', models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ('jurisdiction', models.CharField(help_text='ISO 3166: `DE`, `US`, `US-CA`; `EU` and `UN`.', max_length=6)),
                ('reference', models.CharField(help_text='Where it stands: a law, an agreement.', max_length=300)),
                ('basis_from', models.DateField()),
                ('basis_until', models.DateField(null=True)),
                ('strictest', models.SmallIntegerField(choices=[(0, 'TLP:CLEAR'), (1, 'TLP:GREEN'), (2, 'TLP:AMBER'), (3, 'TLP:AMBER+STRICT'), (4, 'TLP:RED')], help_text='The strictest marking that a package may hold.')),
                ('forms', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('csv', 'Table (CSV)'), ('form', 'Form for an authority'), ('stix', 'STIX bundle')], max_length=4), help_text='What it wants to be given.')),
                ('recorded_by', models.CharField(max_length=80)),
                ('recorded_at', models.DateTimeField(default=exchange.clock.now)),
                ('ended_at', models.DateTimeField(null=True)),
                ('ended_why', models.CharField(default='', max_length=500)),
                ('recipient', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='terms', to='partners.partner')),
            ],
            options={
                'indexes': [models.Index(fields=['recipient', 'basis_from'], name='terms_by_recipient')],
                'constraints': [models.CheckConstraint(condition=models.Q(('basis_until', None), ('basis_until__gte', models.F('basis_from')), _connector='OR'), name='terms_end_after_they_begin'), models.CheckConstraint(condition=models.Q(('forms', []), _negated=True), name='terms_name_a_form')],
            },
        ),
    ]
