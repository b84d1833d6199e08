"""Keep who confirmed a range first: a second partner's word proves it."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("indicators", "0039_preparations"), ("partners", "0013_no_tellings")]
    operations = [
        migrations.AddField(
            model_name="servicehost",
            name="confirmed_by",
            field=models.ForeignKey(
                db_index=False,
                help_text="Who said first that a range is its partner's; a second one's word proves it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="partners.partner",
            ),
        ),
        migrations.AlterField(
            model_name="servicehost",
            name="proven_by",
            field=models.CharField(db_default="", default="", help_text="`dns`, or on whose word.", max_length=120),
        ),
    ]
