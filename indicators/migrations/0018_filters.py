"""Filters become trees: saved feeds are spelled anew, and versions say in `facets` what filters ask of them."""

import django.contrib.postgres.fields
from django.db import migrations, models


def respell(apps, schema_editor):
    """From the six fields that a filter had to the JSON that is read now; what says nothing filters nothing."""
    for feed in apps.get_model("indicators", "Feed").objects.all():
        feed.filter = _respelled(feed.filter)
        feed.save(update_fields=["filter"])


def _respelled(said):
    lists = {"kind": "kinds", "subkind": "subkinds", "type": "types", "publisher": "publishers"}
    parts = [{field: said[name]} for field, name in lists.items() if said.get(name)]
    if said.get("min_confidence"):
        parts.append({"confidence": {">=": said["min_confidence"]}})
    if said.get("with_entries"):
        parts.append({"entries": ["true"]})
    if len(parts) > 1:
        return {"all": parts}
    return parts[0] if parts else {}


class Migration(migrations.Migration):
    dependencies = [("indicators", "0017_caps")]

    operations = [
        migrations.AddField(
            model_name="stixobject",
            name="facets",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.TextField(),
                help_text="What filters ask of it (`stix.facets`).",
                null=True,
                size=None,
            ),
        ),
        migrations.AlterField(
            model_name="feed",
            name="filter",
            field=models.JSONField(default=dict, help_text="A filter, as JSON (`feeds.spelling`)."),
        ),
        migrations.RunPython(respell, migrations.RunPython.noop),
    ]
