"""Say beside each value that a holding carries to whom it is said, so that equal values are found by audience."""

import django.db.models.deletion
from django.db import migrations, models

_FILL = """
UPDATE indicators_carries k SET audience_id = h.audience_id
FROM indicators_holding h WHERE h.id = k.holding_id AND h.state = 'live';
SET CONSTRAINTS ALL IMMEDIATE; SET CONSTRAINTS ALL DEFERRED;
"""
# Whatever writes a holding: what it carries is said to its audience, while it lives.
_FOLLOW = """
CREATE FUNCTION exchange_carried_to() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    UPDATE indicators_carries SET audience_id = CASE WHEN NEW.state = 'live' THEN NEW.audience_id END
    WHERE holding_id = NEW.id;
    RETURN NULL;
END $$;
CREATE TRIGGER carries_follow_their_holding AFTER UPDATE ON indicators_holding FOR EACH ROW
    WHEN ((OLD.audience_id, OLD.state) IS DISTINCT FROM (NEW.audience_id, NEW.state))
    EXECUTE FUNCTION exchange_carried_to();
"""
_UNFOLLOW = """
DROP TRIGGER carries_follow_their_holding ON indicators_holding;
DROP FUNCTION exchange_carried_to();
"""


class Migration(migrations.Migration):
    dependencies = [("indicators", "0033_traits"), ("partners", "0013_no_tellings")]
    operations = [
        migrations.AddField(
            "carries",
            "audience",
            models.ForeignKey(
                db_constraint=False,
                db_index=False,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="partners.audience",
            ),
        ),
        migrations.RunSQL(_FILL, migrations.RunSQL.noop),
        migrations.RunSQL(_FOLLOW, _UNFOLLOW),
        migrations.RemoveIndex("carries", "carried_by_holding"),
        migrations.AddIndex(
            "carries", models.Index(fields=["token_value", "audience", "holding"], name="carried_by_audience")
        ),
    ]
