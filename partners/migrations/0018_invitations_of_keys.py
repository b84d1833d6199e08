"""Which key sent an invitation: it is good while that key is."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0017_terms_of_recipients'),
    ]

    operations = [
        migrations.AddField(
            model_name='invitation',
            name='invited_by_key',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.apikey'),
        ),
    ]
