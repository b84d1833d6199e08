"""Public keys of the key service, keys of groups, and the scopes that hand them out."""

import django.contrib.postgres.fields
import django.db.models.deletion
import exchange.clock
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('partners', '0008_channels'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apikey',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('admin', 'admin'), ('group-keys', 'group-keys'), ('publish', 'publish'), ('react', 'react'), ('read', 'read'), ('subscribe', 'subscribe'), ('tokenise', 'tokenise')], max_length=12)),
        ),
        migrations.CreateModel(
            name='GroupKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('quarter', models.CharField(max_length=8)),
                ('number', models.PositiveIntegerField(help_text='Grows with each member that leaves.')),
                ('sealed', models.BinaryField()),
                ('made_at', models.DateTimeField(default=exchange.clock.now)),
                ('replaced_at', models.DateTimeField(null=True)),
                ('group', models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name='token_keys', to='partners.group')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('group', 'quarter', 'number'), name='one_key_per_group_quarter_and_number'), models.UniqueConstraint(condition=models.Q(('replaced_at', None)), fields=('group', 'quarter'), name='one_live_key_per_group_and_quarter')],
            },
        ),
        migrations.CreateModel(
            name='TokenKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(max_length=24)),
                ('epoch', models.CharField(max_length=16)),
                ('public_key', models.BinaryField(max_length=32)),
                ('record', models.OneToOneField(on_delete=django.db.models.deletion.PROTECT, related_name='+', to='partners.auditrecord')),
            ],
            options={
                'constraints': [models.UniqueConstraint(fields=('kind', 'epoch'), name='one_public_key_per_kind_and_epoch')],
            },
        ),
        migrations.RunSQL(
            """
            CREATE TRIGGER public_keys_are_append_only BEFORE UPDATE OR DELETE ON partners_tokenkey
                FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite()
            """,
            "DROP TRIGGER public_keys_are_append_only ON partners_tokenkey",
        ),
    ]
