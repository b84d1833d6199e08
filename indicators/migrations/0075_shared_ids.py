"""Note each id that several publishers hold, so that a page of a collection need not look for others who hold its ids.

Of every row that enters the log the database asks whether others hold the same id, under the order lock: of two who
bring it at once, the later sees the earlier. So the release before notes it, too.
"""

from django.db import migrations, models

# The rows of one statement; each holding by its key, others of its id by the index by id and publisher, whatever
# PostgreSQL believes of how many there are (OFFSET 0).
_NOTE = """
CREATE FUNCTION exchange_note_shared_ids() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO indicators_sharedid (stix_id)
    SELECT DISTINCT h.stix_id
    FROM (SELECT DISTINCT holding_id FROM entered WHERE op = 'upsert' OR reason = 'revoked') e
    CROSS JOIN LATERAL (SELECT * FROM indicators_holding held WHERE held.id = e.holding_id LIMIT 1) h
    WHERE EXISTS (SELECT FROM (SELECT * FROM indicators_holding held WHERE held.stix_id = h.stix_id OFFSET 0) other
                  WHERE other.publisher_id <> h.publisher_id)
    ON CONFLICT DO NOTHING;
    RETURN NULL;
END $$;
CREATE TRIGGER shared_ids_are_noted AFTER INSERT ON indicators_change REFERENCING NEW TABLE AS entered
    FOR EACH STATEMENT EXECUTE FUNCTION exchange_note_shared_ids();
"""
_FORGET = """
DROP TRIGGER shared_ids_are_noted ON indicators_change;
DROP FUNCTION exchange_note_shared_ids();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0074_silence")]
    operations = [
        migrations.CreateModel(
            name="SharedId",
            fields=[
                ("stix_id", models.CharField(db_collation="C", max_length=300, primary_key=True, serialize=False)),
            ],
        ),
        migrations.RunSQL(_NOTE, _FORGET),
    ]
