"""The change log, and what is told beside it.

`log.appending` writes Change, Commit and Untold, `log.traced` Traced, `publishing.rationing` LogShare,
`sight.resighting` Telling; `publishing.rereading`, and whoever follows the log, write Progress.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from partners.models import Channel, Partner
from partners.sharing import NoViewer
from partners.tlp import Tlp

if TYPE_CHECKING:
    from django.db.models import QuerySet


class LogManager(models.Manager["Change"]):
    """A manager that refuses every query: the log is read through `changes` and `selecting`, for a viewer."""

    def get_queryset(self) -> QuerySet[Change]:
        """Refuse."""
        raise NoViewer("Change is shared: read it with changes.since(viewer)")


class Change(models.Model):
    """One row of the append-only log: a change, as it is told in one channel (ADR 0031).

    A change has one place, `seq`, in all channels that it is told in: those of the audience that it concerns, which for
    a `remove` that follows a narrowing is what was lost. `seq` and `date_added` grow in commit order; no two changes
    have the same. It says where to look; whether a reader is told, its holding says. A version that enters `again` has
    entered before: for others, or before it was withdrawn. `tlp` is the marking of what is told.

    Channel, holding and version are ids without foreign keys, and nothing is unique but by place, so that an operator
    may divide the table by place (`log.dividing`).
    """

    class Op(models.TextChoices):
        REMOVE = "remove", _("Remove")
        UPSERT = "upsert", _("Upsert")

    class Reason(models.TextChoices):
        DISARMED = "disarmed", _("Disarmed")
        EXPIRED = "expired", _("Expired")
        FLOOD = "flood", _("Met far more than ever")
        GRANTED = "granted", _("Came into sight")
        JUDGED = "judged", _("Judged")
        NARROWED = "narrowed", _("Audience narrowed")
        PUBLISHED = "published", _("Published")
        RECALLED = "recalled", _("Recalled")
        REVISED = "revised", _("Revised")
        REVOKED = "revoked", _("Revoked")
        WITHDRAWN = "withdrawn", _("Withdrawn")

    pk = models.CompositePrimaryKey("channel", "seq")
    channel = models.BigIntegerField()
    seq = models.BigIntegerField()
    date_added = models.DateTimeField()
    holding_id = models.BigIntegerField()
    version_id = models.BigIntegerField()
    op = models.CharField(max_length=6, choices=Op)
    reason = models.CharField(max_length=10, choices=Reason)
    tlp = models.SmallIntegerField(choices=Tlp)
    again = models.BooleanField(default=False)
    linked = models.BooleanField(default=False, db_default=False, help_text="Whether a value of it was shared then.")

    traits = ArrayField(
        models.IntegerField(),
        null=True,
        help_text="What filters look for, as numbers (`log.traits`); of entries alone.",
    )

    objects = LogManager()
    unrestricted = models.Manager["Change"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            GinIndex(fields=["traits"], name="change_by_trait", fastupdate=True, gin_pending_list_limit=256),
            models.Index(fields=["version_id", "seq"], name="change_by_version"),
            models.Index(fields=["channel"], condition=Q(again=True), name="change_that_enters_again"),
            models.Index(fields=["version_id", "seq"], condition=Q(again=True), name="version_that_enters_again"),
            models.Index(fields=["channel", "seq"], condition=Q(op="remove"), name="change_that_removes"),
            models.Index(fields=["channel", "seq"], condition=Q(linked=True), name="change_that_is_linked"),
        ]


class Commit(models.Model):
    """The changes of one transaction: the last place that they have, and its date.

    The changes of a commit lie a microsecond apart, so a date leads to a place; the last row is the end of the log.
    """

    last_seq = models.BigIntegerField(primary_key=True)
    date_added = models.DateTimeField(unique=True)


class Traced(models.Model):
    """Under which trace a commit was made, where traces are on (`exchange.tracing`): who tells of it links there.

    `log.traced` writes it with the commit, and forgets it after some days. It is told to the operator alone.
    """

    last_seq = models.BigIntegerField(primary_key=True)
    carried = models.CharField(max_length=55, help_text="The span, as a W3C `traceparent`.")
    written_at = models.DateTimeField(db_default=Now())

    class Meta:
        indexes = [models.Index(fields=["written_at"], name="traced_by_time")]


class LogShare(models.Model):
    """How many rows of the log one partner's publishing made in one hour. `rationing` writes it."""

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField()
    rows = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "hour"], name="one_share_per_partner_and_hour")]


class Telling(models.Model):
    """Holdings that a partner is still to be told of, because a channel was opened to it or closed.

    Without a partner: that all are to be told of to whom the channel was closed, in the channel itself.

    The row is the queue: `resighting` writes it in the transaction that turns the partner's sight, and deletes it in
    the one that tells. What is told of each holding is decided then.
    """

    class Kind(models.TextChoices):
        CLOSED = "closed", _("Was in a channel that was closed")
        OPENED = "opened", _("Is in a channel that was opened")
        PASSED = "passed", _("Entered again in a channel that was closed, and went elsewhere")

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", null=True)
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+", db_index=False)
    told_in = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=6, choices=Kind)
    holdings = ArrayField(models.BigIntegerField())


class Untold(models.Model):
    """Changes that are committed and still to be given their places in the log: a portion of a large batch.

    The row is the queue: `appending` writes it in the transaction that makes the changes, and deletes it in the one
    that gives them their places. Portions of one partner are told in the order of their ids; without a partner, those
    that no partner made. Ids without foreign keys, as in the log.
    """

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    holdings = ArrayField(models.BigIntegerField())
    versions = ArrayField(models.BigIntegerField())
    audiences = ArrayField(models.BigIntegerField())
    buts = ArrayField(models.BigIntegerField(), help_text="Audiences whose readers are not told; 0 for none.")
    ops = ArrayField(models.TextField())
    reasons = ArrayField(models.TextField())
    agains = ArrayField(models.BooleanField())


class Progress(models.Model):
    """How far work has come that goes through a whole table, so that it goes on where it was broken off."""

    name = models.CharField(max_length=60, primary_key=True)
    seq = models.BigIntegerField(default=0)
