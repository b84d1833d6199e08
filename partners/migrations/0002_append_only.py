"""The audit log only grows: the database refuses to change or delete what was written."""

from django.db import migrations

_TABLES = {
    "audit_is_append_only": "partners_auditrecord",
    "leaves_are_append_only": "partners_auditleaf",
    "nodes_are_append_only": "partners_auditnode",
    "heads_are_append_only": "partners_treehead",
    "log_keys_are_append_only": "partners_auditkey",
}

_GUARD = """
CREATE FUNCTION exchange_refuse_rewrite() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% is append-only', TG_TABLE_NAME USING ERRCODE = 'restrict_violation';
END $$;
""" + "".join(
    f"""
CREATE TRIGGER {name} BEFORE UPDATE OR DELETE ON {table}
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_refuse_rewrite();
"""
    for name, table in _TABLES.items()
)

_UNGUARD = (
    "".join(f"DROP TRIGGER {name} ON {table};\n" for name, table in _TABLES.items())
    + "DROP FUNCTION exchange_refuse_rewrite();"
)


class Migration(migrations.Migration):
    dependencies = [("partners", "0001_initial")]
    operations = [migrations.RunSQL(_GUARD, _UNGUARD)]
