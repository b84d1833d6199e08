"""What a partner published is never written again: the database refuses an UPDATE of the bytes, their hash and their dates.

What is read from the bytes (`title`, `facets`, `listed` …) may be read anew, and a handed over version changes its holding.
A correction of what has no `modified` is a version of its own (`correction`).
"""

from django.db import migrations

_GUARD = """
CREATE TRIGGER bytes_are_written_once
    BEFORE UPDATE OF body, sha256, version, created, modified, correction, revoked ON indicators_stixobject
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
"""
_UNGUARD = "DROP TRIGGER bytes_are_written_once ON indicators_stixobject;"


class Migration(migrations.Migration):
    dependencies = [("indicators", "0071_evidence_is_counted_once")]
    operations = [migrations.RunSQL(_GUARD, _UNGUARD)]
