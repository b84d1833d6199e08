"""Say beside each version which entries of lists it gives, so that a page of the log looks for no value.

Null says to ask what is carried, as of all that the release before stores. The database sets it to null where a value is
judged otherwise, or an older version is the newest again, by this release or by the one before.
"""

from django.db import migrations, models

_FORGET = """
CREATE FUNCTION exchange_forget_listed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE indicators_stixobject o SET listed = NULL
    FROM indicators_holding h WHERE h.id = NEW.holding_id AND o.id = h.newest_id;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_is_forgotten AFTER UPDATE OF suppressed_by ON indicators_carries FOR EACH ROW
    WHEN (OLD.suppressed_by IS DISTINCT FROM NEW.suppressed_by) EXECUTE FUNCTION exchange_forget_listed();
CREATE FUNCTION exchange_forget_listed_of_older() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE indicators_stixobject o SET listed = NULL WHERE o.id = NEW.newest_id;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_is_forgotten_of_older AFTER UPDATE ON indicators_holding FOR EACH ROW
    WHEN (NEW.newest_id IS NOT NULL AND NEW.newest_id <= coalesce(OLD.newest_id - 1, NEW.newest_id))
    EXECUTE FUNCTION exchange_forget_listed_of_older();
"""
_REMEMBER = """
DROP TRIGGER listed_is_forgotten ON indicators_carries;
DROP TRIGGER listed_is_forgotten_of_older ON indicators_holding;
DROP FUNCTION exchange_forget_listed();
DROP FUNCTION exchange_forget_listed_of_older();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0055_connections")]
    operations = [
        migrations.AddField(
            "stixobject",
            "listed",
            models.TextField(
                null=True,
                help_text="The entries of lists that it gives while it is the newest, as JSON (`carrying.listed`);"
                " null: it is to be asked what its holding carries.",
            ),
        ),
        migrations.RunSQL(_FORGET, _REMEMBER),
    ]
