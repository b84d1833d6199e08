"""The audit log only grows: the database refuses to change or delete what was written."""

from django.db import migrations

_GUARD = """
CREATE FUNCTION exchange_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
CREATE TRIGGER audit_is_append_only BEFORE UPDATE OR DELETE ON partners_auditrecord
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
"""

_UNGUARD = """
DROP TRIGGER audit_is_append_only ON partners_auditrecord;
DROP FUNCTION exchange_refuse_rewrite();
"""


class Migration(migrations.Migration):
    dependencies = [("partners", "0001_initial")]
    operations = [migrations.RunSQL(_GUARD, _UNGUARD)]
