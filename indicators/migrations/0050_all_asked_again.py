"""Have all be asked what their rare tokens elect: what was due by the rule before 0048, nobody had noted."""

from django.db import migrations

from indicators.campaigns import asking


def ask(apps, schema_editor):
    asking.ask_everybody()


class Migration(migrations.Migration):
    atomic = False  # in portions
    dependencies = [("indicators", "0049_traits_in_bulk")]
    operations = [migrations.RunPython(ask, migrations.RunPython.noop)]
