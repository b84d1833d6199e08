"""What indicators match on, and whose hosts are known.

`values.carrying` writes Epoch, TokenValue and Carries; `benign.service_hosts`, `benign.proofs` and `benign.suppressing`
write ServiceHost, the last and `values.carrying` Unlisted. The database writes Span.
"""

from __future__ import annotations

import uuid

from django.db import models
from django.db.models import F, Q

from exchange import clock
from exchange.tokens import epochs
from indicators.models.objects import Holding
from partners.models import Audience, Partner
from partners.sharing import SharedManager


class Epoch(models.Model):
    """The time of a key, by the scheme that uses it and the key's name. `carrying` writes it, at the first use.

    Of keys whose names say no time (a group's, and those of version 1 of our extension) it is not known.
    """

    scheme = models.CharField(max_length=40)
    name = models.CharField(max_length=epochs.LONGEST_EPOCH)
    begins = models.DateTimeField(null=True)
    ends = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["scheme", "name"], name="one_row_per_epoch_of_a_scheme"),
            models.CheckConstraint(condition=Q(begins__lt=F("ends")), name="an_epoch_ends_after_it_begins"),
        ]

    def __str__(self) -> str:
        return self.name


class TokenValue(models.Model):
    """A value that indicators match on, once, whoever carries it: keyed, or clear where it may travel in clear.

    Its key is made from all that makes it this value (`carrying.key_of`), and is unique for that. `subkind` is what it
    is compared as (`exchange.lists`). It is `shared` once a second source carries it, for good; `first_source` is whose
    it was first, as a number (`carrying.SOURCE`). Both only say where matching has to look.
    """

    id = models.UUIDField(primary_key=True, editable=False)
    subkind = models.CharField(max_length=80)
    scheme = models.CharField(max_length=40)
    # Not checked by the database: every push would lock the one row of the present epoch.
    epoch = models.ForeignKey(
        Epoch, on_delete=models.PROTECT, related_name="+", null=True, db_index=False, db_constraint=False
    )
    psp_scope = models.CharField(max_length=80, default="", db_default="")
    value = models.CharField(max_length=2048)
    first_source = models.BigIntegerField()
    shared = models.BooleanField(default=False, db_default=False)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(epoch=None) | ~Q(scheme__in=["clear", "sha256"]),
                name="what_needs_no_key_has_no_epoch",
            )
        ]


class Carries(models.Model):
    """That the newest version of a holding says a value, as which subkind, and in which place.

    `audience` is its holding's while that lives, else nothing: so who asks for those that carry a value finds those
    that are said to an audience, and no others. The database keeps it so where a holding changes (migration 0034).
    """

    pk = models.CompositePrimaryKey("holding", "place")
    holding = models.ForeignKey(Holding, on_delete=models.CASCADE, related_name="carries", db_index=False)
    place = models.SmallIntegerField()
    token_value = models.ForeignKey(TokenValue, on_delete=models.PROTECT, related_name="carried", db_index=False)
    subkind = models.CharField(max_length=80)
    suppressed_by = models.CharField(
        max_length=20,
        default="",
        db_default="",
        help_text="What keeps it out of lists (`door.entries`); empty: nothing.",
    )
    # Not checked by the database: every push would lock the rows of the audiences that it names.
    audience = models.ForeignKey(
        Audience, on_delete=models.PROTECT, related_name="+", null=True, db_index=False, db_constraint=False
    )

    objects = SharedManager["Carries"]("holding__audience")
    unrestricted = models.Manager["Carries"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["token_value", "audience", "holding"], name="carried_by_audience")]


class Span(models.Model):
    """A network, or a range of card numbers, that a living holding carries, by whom it is said to.

    The database writes it beside `Carries` (migration 0042). Either `net`, of which `ends` is the last address, or
    `low` and `high`, of 8 digits. Not of networks wider than may be listed.
    """

    pk = models.CompositePrimaryKey("holding", "place")
    holding = models.ForeignKey(
        Holding, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    place = models.SmallIntegerField()
    audience = models.ForeignKey(
        Audience, on_delete=models.DO_NOTHING, related_name="+", db_index=False, db_constraint=False
    )
    net = models.GenericIPAddressField(null=True)
    ends = models.GenericIPAddressField(null=True)
    low = models.IntegerField(null=True)
    high = models.IntegerField(null=True)

    objects = SharedManager["Span"]("audience")
    unrestricted = models.Manager["Span"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["audience", "net", "low", "holding"], name="span_by_audience"),
            models.Index(fields=["net"], name="span_by_network", condition=~Q(net=None)),
            models.Index(fields=["low"], name="span_by_range", condition=~Q(low=None)),
        ]


class ServiceHost(models.Model):
    """A host or range that a member names as its own, with all below it.

    Until it is proven, only the member's own lists leave it out (`Unlisted`); from then on nobody's hold it.
    `challenge` is what the member shows in the DNS of a host, and `ask_at` when that is looked for next.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="service_hosts")
    value = models.CharField(max_length=255, help_text="In normal form: a host name, or a network in CIDR form.")
    actor = models.CharField(max_length=80)
    since = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=clock.now)
    applied_at = models.DateTimeField(null=True, help_text="When stored values were last judged by it.")
    challenge = models.CharField(max_length=64, default="", db_default="")
    proven_at = models.DateTimeField(null=True)
    proven_by = models.CharField(max_length=120, default="", db_default="", help_text="`dns`, or on whose word.")
    confirmed_by = models.ForeignKey(
        Partner,
        on_delete=models.PROTECT,
        null=True,
        related_name="+",
        db_index=False,
        help_text="Who said first that a range is its partner's; a second one's word proves it.",
    )
    ask_at = models.DateTimeField(null=True, help_text="When its DNS is to be asked next; null: not by itself.")
    asked_at = models.DateTimeField(null=True, help_text="When its DNS was asked last, without finding the challenge.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "value"], condition=Q(ended_at=None), name="a_partner_names_a_host_once"
            ),
            models.CheckConstraint(
                condition=Q(proven_at=None) | Q(ask_at=None), name="what_is_proven_is_asked_for_no_more"
            ),
        ]
        indexes = [models.Index(fields=["ask_at"], condition=~Q(ask_at=None), name="host_to_be_asked_for")]

    def __str__(self) -> str:
        return self.value


class Unlisted(models.Model):
    """A value that one partner's own lists leave out, because it names it as its own and has not proven that yet."""

    pk = models.CompositePrimaryKey("partner", "token_value")
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+", db_index=False)
    token_value = models.ForeignKey(TokenValue, on_delete=models.CASCADE, related_name="+", db_constraint=False)
