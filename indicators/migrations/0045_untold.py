"""Write down what a large batch is still to tell, so that nobody waits long for a place in the log."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('indicators', '0044_ranges'),
        ('partners', '0014_exchange_as_publisher'),
    ]

    operations = [
        migrations.CreateModel(
            name='Untold',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False)),
                ('holdings', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField())),
                ('versions', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField())),
                ('audiences', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField())),
                ('buts', django.contrib.postgres.fields.ArrayField(base_field=models.BigIntegerField(), help_text='Audiences whose readers are not told; 0 for none.')),
                ('ops', django.contrib.postgres.fields.ArrayField(base_field=models.TextField())),
                ('reasons', django.contrib.postgres.fields.ArrayField(base_field=models.TextField())),
                ('agains', django.contrib.postgres.fields.ArrayField(base_field=models.BooleanField())),
                ('partner', models.ForeignKey(db_index=False, null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.partner')),
            ],
        ),
    ]
