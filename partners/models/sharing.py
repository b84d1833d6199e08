"""Who may see what, and under which name its source is shown.

`sharing` writes Audience, `channels` Channel and Sight, `sources` Pseudonym.
"""

from __future__ import annotations

import uuid

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q, Value
from django.utils.translation import gettext_lazy as _

from partners.attribution import Attribution
from partners.models.groups import Group
from partners.models.partners import Partner
from partners.tlp import Tlp


class Audience(models.Model):
    """Who may see one object. Interned: objects with the same audience share one row.

    There are as many rows as there are distinct ways of sharing in use (tens to hundreds), so the rule is
    asked of this small table, and content is found by `audience_id` alone (ADR 0006).
    `groups` and `partners` are sorted arrays of their ids; neither is ever deleted. `channels` are the ways by which
    the log tells of its objects, and the rule: who has one of them open sees them. Nothing that is withdrawn is
    seen by anybody (ADR 0009).
    """

    class Use(models.TextChoices):
        OBJECTS = "objects", _("Of objects")
        WITHDRAWN = "withdrawn", _("Of what its publisher took back")

    use = models.CharField(max_length=9, choices=Use, default=Use.OBJECTS)
    publisher = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    tlp = models.SmallIntegerField(choices=Tlp)
    everyone = models.BooleanField(default=False)
    groups = ArrayField(models.UUIDField(), default=list)
    partners = ArrayField(models.UUIDField(), default=list)
    attribution = models.SmallIntegerField(choices=Attribution, default=Attribution.NAMED)
    channels = ArrayField(
        models.BigIntegerField(), default=list, db_default=Value([], output_field=ArrayField(models.BigIntegerField()))
    )

    class Meta:
        indexes = [GinIndex(fields=["channels"], name="audience_by_channel")]
        constraints = [
            models.UniqueConstraint(
                fields=["publisher", "tlp", "everyone", "groups", "partners", "use", "attribution"],
                name="one_row_per_distinct_audience",
            ),
            models.CheckConstraint(
                condition=~Q(tlp=Tlp.RED) | Q(everyone=False, groups=[]), name="red_reaches_named_partners_only"
            ),
            models.CheckConstraint(
                condition=Q(everyone=False) | Q(groups=[], partners=[]), name="everyone_needs_no_names"
            ),
        ]


class Channel(models.Model):
    """A way from the log to its readers: whom it reaches, and how strict the marking is that it carries.

    A partner's and a group's are made with them, so that nothing that is published has to make one. `told` tells one
    partner alone what came into its sight or left it: by a group, or by none.
    """

    class Reach(models.TextChoices):
        EVERYONE = "everyone", _("Everyone")
        GROUP = "group", _("The members of a group")
        NAMED = "named", _("A partner that is named")
        OWN = "own", _("The publisher itself")
        TOLD = "told", _("A partner that is told of its sight")

    reach = models.CharField(max_length=8, choices=Reach)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", null=True)
    need = models.SmallIntegerField(choices=Tlp, help_text="The clearance that it takes to see what it carries.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group", "reach", "need"],
                nulls_distinct=False,
                name="one_channel_per_reach_and_marking",
            )
        ]


class Sight(models.Model):
    """That a partner sees a channel from a place of the log on, or saw it up to another; a stretch is never altered.

    Open rows are the rule: an object is seen by who has one of the channels of its audience open. Of a closed one its
    partner is still told the removes up to its end. `lost` is the last place whose row was pruned within it.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    since = models.BigIntegerField(default=0)
    until = models.BigIntegerField(null=True)
    lost = models.BigIntegerField(default=0, db_default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "channel"], condition=Q(until=None), name="a_partner_opens_a_channel_once"
            )
        ]
        indexes = [models.Index(fields=["partner", "channel", "since"], name="sight_by_partner")]


class Pseudonym(models.Model):
    """What a partner is called in one group, or outside of any, where it does not give its name."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", null=True)
    code = models.CharField(max_length=6)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group"], nulls_distinct=False, name="one_pseudonym_per_partner_and_group"
            ),
            models.UniqueConstraint(fields=["group", "code"], nulls_distinct=False, name="one_partner_per_pseudonym"),
        ]
