"""The change log only grows: the database refuses to change or delete what was told."""

from django.db import migrations

_GUARD = """
CREATE TRIGGER log_is_append_only BEFORE UPDATE OR DELETE ON indicators_change
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0001_initial"), ("partners", "0002_append_only")]
    operations = [migrations.RunSQL(_GUARD, "DROP TRIGGER log_is_append_only ON indicators_change")]
