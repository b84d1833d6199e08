"""Each partner's default audience is stored; those that are there keep what they have on this day."""

from django.db import migrations, models

_KEEP = """
UPDATE partners_partner p SET default_audience = jsonb_build_object(
    'open_to_everyone', true,
    'groups', coalesce((SELECT jsonb_agg(m.group_id::text ORDER BY m.group_id) FROM partners_membership m
                        WHERE m.partner_id = p.id AND m.until IS NULL), '[]'::jsonb),
    'partners', '[]'::jsonb)
WHERE p.kind <> 'recipient'
"""


class Migration(migrations.Migration):
    dependencies = [("partners", "0005_questions")]
    operations = [
        migrations.AddField(
            "partner",
            "default_audience",
            models.JSONField(help_text="Of what is pushed without one; null where none is set.", null=True),
        ),
        migrations.RunSQL(_KEEP, migrations.RunSQL.noop),
    ]
