"""Hosts and ranges that members make known as their own."""

import django.db.models.deletion
import exchange.clock
import uuid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ("indicators", "0008_objects_that_went_out_alone"),
        ("partners", "0004_mail"),
    ]

    operations = [
        migrations.CreateModel(
            name="ServiceHost",
            fields=[
                ("id", models.UUIDField(default=uuid.uuid4, editable=False, primary_key=True, serialize=False)),
                ("value", models.CharField(help_text="In normal form: a host name, or a network in CIDR form.", max_length=255)),
                ("actor", models.CharField(max_length=80)),
                ("since", models.DateTimeField(default=exchange.clock.now)),
                ("ended_at", models.DateTimeField(null=True)),
                ("changed_at", models.DateTimeField(default=exchange.clock.now)),
                ("applied_at", models.DateTimeField(help_text="When stored values were last judged by it.", null=True)),
                ("partner", models.ForeignKey(on_delete=django.db.models.deletion.PROTECT, related_name="service_hosts", to="partners.partner")),
            ],
            options={
                "constraints": [models.UniqueConstraint(condition=models.Q(("ended_at", None)), fields=("partner", "value"), name="a_partner_names_a_host_once")],
            },
        ),
    ]
