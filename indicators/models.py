"""What is shared and how it moves: objects, values, the change log, feeds, deliveries.

One writer a table: `publishing` (with `storing` and `changes`) writes Batch, Holding, StixObject, Hidden, Marked,
Reference and Change, and `carrying` for it Epoch, TokenValue and Carries; `retiring` deletes old Batches and Outflows;
`awaiting` and `confirming` write HeldBatch, `awaiting` Outflow; `disarming` and `deciding` Ending and Disarmed;
`detectors` Detector; `excerpts` Excerpt; `subscribing` writes Feed and Subscription; `notifying` and `delivering`
write Delivery; `reporting` writes ReportPackage; `rereading`, and whoever follows the log, write Progress; `changes`
writes Commit, `rationing` LogShare, `resighting` Telling; `service_hosts` and `suppressing` write ServiceHost;
`opinions.recording` writes Opinion.
"""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from exchange import clock
from exchange.stix.schemas import DETECTOR
from exchange.tokens import epochs
from indicators.campaigns import tables as campaigns
from partners.models import Audience, AuditRecord, Channel, Partner
from partners.sharing import NoViewer, OwnedManager, Shared, SharedManager
from partners.tlp import Tlp

if TYPE_CHECKING:
    from django.db.models import QuerySet

    from partners.viewer import Viewer

#: Tables of the group's evidence stand with what writes them; Django looks for them here.
CAMPAIGNS = campaigns


class Holding(Shared):
    """What one partner holds under one STIX id; its versions hang below it.

    Ids are held per publisher: the same id from two partners is two holdings that know nothing of each other. All that
    changes is here, in a narrow row: who sees it (`audience`, with how its source is shown), what has become of it
    (`state`), and its newest version. `newest` is null where there is nothing to show: all of it was withdrawn or
    disarmed, or it ended without a version that says so (then its state is `revoked`). `kind` and `valid_until` are the
    newest version's. `living` says what a state means to readers.
    """

    class State(models.TextChoices):
        DISARMED = "disarmed", "Disarmed"
        EXPIRED = "expired", "Expired"
        LIVE = "live", "Live"
        REVOKED = "revoked", "Revoked"
        WITHDRAWN = "withdrawn", "Withdrawn"

    id = models.BigAutoField(primary_key=True)
    # Compared byte by byte: by the rules of a language, one look into the index takes ten times as long.
    stix_id = models.CharField(max_length=300, db_collation="C")
    stix_type = models.CharField(max_length=250)
    state = models.CharField(max_length=9, choices=State, default=State.LIVE)
    newest = models.ForeignKey("StixObject", on_delete=models.PROTECT, related_name="+", null=True, db_index=False)
    kind = models.CharField(max_length=40, null=True)
    valid_until = models.DateTimeField(null=True)
    creator = models.CharField(
        max_length=300, null=True, help_text="`created_by_ref` of the version it began with, in lower case."
    )

    objects = SharedManager["Holding"]()
    unrestricted = models.Manager["Holding"]()

    class Meta(Shared.Meta):
        constraints = [
            # By id first, so that look-ups by id need no index of their own: ids are random, and each index on them
            # costs a push a page to read and to log.
            models.UniqueConstraint(fields=["stix_id", "publisher"], name="one_holding_per_id_and_publisher"),
            models.CheckConstraint(
                condition=Q(newest__isnull=False) | Q(state__in=["disarmed", "revoked", "withdrawn"]),
                name="what_has_no_newest_version_has_ended",
            ),
            models.CheckConstraint(
                condition=~Q(state__in=["disarmed", "withdrawn"]) | Q(newest=None),
                name="nothing_is_shown_of_what_is_withdrawn_or_disarmed",
            ),
        ]
        indexes = [
            models.Index(fields=["audience", "-id"], name="holding_by_audience"),
            models.Index(fields=["valid_until"], condition=Q(state="live"), name="holding_by_end_of_validity"),
        ]


class VersionManager[Below: models.Model](SharedManager[Below]):
    """Versions, and what hangs below them, are seen by who sees their holding, but for those that are hidden.

    `versions` are the relations that lead to the versions which must all be visible; none for a version itself.
    """

    def __init__(self, *versions: str) -> None:
        self._versions = [f"{version}__" for version in versions] or [""]
        super().__init__(*(f"{version}holding__audience" for version in self._versions))

    def visible_to(self, viewer: Viewer) -> QuerySet[Below]:
        """The rows that `viewer` may see. The same rule for SQL is `living.shown`."""
        found = super().visible_to(viewer)
        for version in self._versions:
            own = {f"{version}hidden__hidden_from": "others", f"{version}holding__publisher": viewer.partner_id}
            found = found.filter(Q(**{f"{version}hidden": None}) | Q(**own))
        return found


class StixObject(models.Model):
    """One version below a holding: the producer's exact bytes and what was read from them. Written once."""

    id = models.BigAutoField(primary_key=True)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="versions", db_index=False)
    version = models.CharField(max_length=60, null=True, help_text="`modified`, else `created`, as written.")
    created = models.DateTimeField(null=True)
    modified = models.DateTimeField(null=True)
    correction = models.SmallIntegerField(
        default=0, db_default=0, help_text="Of what has no `modified`: how many bytes it takes the place of."
    )
    spec_version = models.CharField(max_length=3, default="2.1", help_text="As written or implied (STIX 2.1 §3.2).")
    revoked = models.BooleanField(default=False)
    body = models.TextField(help_text="The producer's bytes, UTF-8.")
    sha256 = models.BinaryField(max_length=32)
    title = models.CharField(max_length=300)
    created_by_ref = models.CharField(max_length=300, null=True)
    pattern_type = models.CharField(max_length=60, null=True)
    kind = models.CharField(max_length=40, null=True)
    subkind = models.CharField(max_length=40, null=True)
    severity = models.CharField(max_length=20, null=True)
    confidence = models.SmallIntegerField(null=True)
    valid_from = models.DateTimeField(null=True)
    valid_until = models.DateTimeField(null=True)
    marks = ArrayField(models.CharField(max_length=450), null=True, help_text="What breaks STIX 2.1: code and pointer.")
    facets = ArrayField(models.TextField(), null=True, help_text="What filters ask of it (`stix.facets`).")
    stored_at = models.DateTimeField(db_default=Now())
    search = models.GeneratedField(
        expression=SearchVector("title", config="simple"), output_field=SearchVectorField(), db_persist=True
    )

    objects = VersionManager["StixObject"]()
    unrestricted = models.Manager["StixObject"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(
                fields=["holding", "modified", "correction"],
                nulls_distinct=False,
                name="one_row_per_version_of_a_holding",
            ),
        ]
        indexes = [GinIndex(fields=["search"], name="object_search")]

    # To be asked of versions that were read with their holding.

    @property
    def stix_id(self) -> str:
        """The id that it is a version of, in lower case."""
        return self.holding.stix_id

    @property
    def stix_type(self) -> str:
        """Its type."""
        return self.holding.stix_type

    @property
    def publisher(self) -> Partner:
        """Whose holding it is in."""
        return self.holding.publisher

    @property
    def publisher_id(self) -> uuid.UUID:
        """Whose holding it is in, by id."""
        return self.holding.publisher_id

    @property
    def audience(self) -> Audience:
        """Who sees its holding."""
        return self.holding.audience

    @property
    def audience_id(self) -> int:
        """Who sees its holding, by id."""
        return self.holding.audience_id


class Hidden(models.Model):
    """A version, never the newest, that not all who see its holding see.

    Hidden from others but its publisher: what came before the holding went to another audience. Hidden from all: what
    was withdrawn by itself or with the holding before that was woken, and what is dated after a revocation.
    """

    class From(models.TextChoices):
        ALL = "all", "Everybody"
        OTHERS = "others", "Everybody but its publisher"

    version = models.OneToOneField(StixObject, on_delete=models.CASCADE, primary_key=True, related_name="hidden")
    hidden_from = models.CharField(max_length=6, choices=From)


class Marked(models.Model):
    """A marking that a version names and that is not the standard's, so that its definition can be followed.

    `asked` is the audience that its push named, where the definition was not known; until it is, nobody but the
    partners that were named sees the object (`rejudging`). Null once it is known.
    """

    id = models.BigAutoField(primary_key=True)
    object = models.ForeignKey(StixObject, on_delete=models.CASCADE, related_name="marked")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    marking = models.CharField(max_length=300, help_text="Its id, in lower case.")
    asked = models.JSONField(null=True)

    objects = OwnedManager["Marked"]()
    unrestricted = models.Manager["Marked"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["object", "marking"], name="one_row_per_marking_of_a_version")]
        indexes = [models.Index(fields=["partner", "marking"], name="marked_by_marking")]


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
    """That the newest version of a holding says a value, as which subkind, and in which place."""

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

    objects = SharedManager["Carries"]("holding__audience")
    unrestricted = models.Manager["Carries"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["token_value", "holding"], name="carried_by_holding")]


class Reference(models.Model):
    """That a version points to an id, with the JSON pointer of the place (`stix.references`).

    Written at publication, by `storing`. No foreign key in the database: a version is never deleted, and to check each
    of so many rows would cost a push more than to write them.
    """

    pk = models.CompositePrimaryKey("version", "place")
    version = models.ForeignKey(
        StixObject, on_delete=models.CASCADE, related_name="references", db_index=False, db_constraint=False
    )
    place = models.SmallIntegerField(help_text="Among the references of its version.")
    path = models.CharField(max_length=400)
    target_id = models.CharField(max_length=300, help_text="A STIX id, in lower case; nobody may hold it.")

    objects = VersionManager["Reference"]("version")
    unrestricted = models.Manager["Reference"]()

    class Meta:
        base_manager_name = "unrestricted"
        #: Few pairs of a marking or an author and its place, each of many rows: PostgreSQL stores a pair once.
        indexes = [models.Index(fields=["target_id", "path"], name="reference_by_target")]


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

    Channel, holding and version are ids without foreign keys, and nothing is unique but by place, so that the table may
    be divided by place one day.
    """

    class Op(models.TextChoices):
        REMOVE = "remove", "Remove"
        UPSERT = "upsert", "Upsert"

    class Reason(models.TextChoices):
        DISARMED = "disarmed", "Disarmed"
        EXPIRED = "expired", "Expired"
        GRANTED = "granted", "Came into sight"
        JUDGED = "judged", "Judged"
        NARROWED = "narrowed", "Audience narrowed"
        PUBLISHED = "published", "Published"
        REVISED = "revised", "Revised"
        REVOKED = "revoked", "Revoked"
        WITHDRAWN = "withdrawn", "Withdrawn"

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

    objects = LogManager()
    unrestricted = models.Manager["Change"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["version_id", "seq"], name="change_by_version"),
            models.Index(fields=["channel"], condition=Q(again=True), name="change_that_enters_again"),
            models.Index(fields=["channel", "seq"], condition=Q(op="remove"), name="change_that_removes"),
            models.Index(fields=["channel", "seq"], condition=Q(linked=True), name="change_that_is_linked"),
        ]


class Commit(models.Model):
    """The changes of one transaction: the last place that they have, and its date.

    The changes of a commit lie a microsecond apart, so a date leads to a place; the last row is the end of the log.
    """

    last_seq = models.BigIntegerField(primary_key=True)
    date_added = models.DateTimeField(unique=True)


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
        CLOSED = "closed", "Was in a channel that was closed"
        OPENED = "opened", "Is in a channel that was opened"
        PASSED = "passed", "Entered again in a channel that was closed, and went elsewhere"

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", null=True)
    channel = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+", db_index=False)
    told_in = models.ForeignKey(Channel, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=6, choices=Kind)
    holdings = ArrayField(models.BigIntegerField())


class Batch(models.Model):
    """One push and its answer: what a retry is answered with, and a TAXII status resource reads."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="batches")
    actor = models.CharField(max_length=80)
    idempotency_key = models.CharField(max_length=128, null=True)
    request_digest = models.BinaryField(max_length=32)
    received_at = models.DateTimeField(default=clock.now)
    counts = models.JSONField()
    alone = models.IntegerField(default=0, db_default=0, help_text="How many objects went out without a second person.")
    results = models.TextField(help_text="The JSON array of per-object results, as it was answered.")
    groups = ArrayField(models.UUIDField(), null=True, help_text="Where it may have gone; none: not known any more.")

    objects = OwnedManager["Batch"]()
    unrestricted = models.Manager["Batch"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "idempotency_key"], name="one_batch_per_idempotency_key")
        ]
        indexes = [models.Index(fields=["partner", "-received_at"], name="batch_by_partner_and_time")]


class Outflow(models.Model):
    """What of a partner went out in one hour without a second person; counted while it has a cap (`awaiting`)."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    hour = models.DateTimeField()
    objects_sent = models.BigIntegerField()
    recipients = models.BigIntegerField(help_text="The partners that see each object, added up.")
    broad = models.BigIntegerField(help_text="Values that stand for many accounts (`door.breadth`).")

    objects = OwnedManager["Outflow"]()
    unrestricted = models.Manager["Outflow"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "hour"], name="one_outflow_per_partner_and_hour")]


class Excerpt(models.Model):
    """An excerpt of an attacker's prompt, beside the indicator that it belongs to; for people alone (`excerpts`)."""

    class State(models.TextChoices):
        SHOWN = "shown", "Shown"
        WAITING = "waiting", "Waiting"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="excerpts")
    excerpt_id = models.CharField(max_length=60)
    sha256 = models.BinaryField(max_length=32)
    text = models.CharField(max_length=280)
    state = models.CharField(max_length=7, choices=State, default=State.WAITING)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    valid_until = models.DateTimeField()
    decided_by = models.CharField(max_length=80, default="")

    objects = SharedManager["Excerpt"]("holding__audience")
    unrestricted = models.Manager["Excerpt"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "excerpt_id"], name="a_partner_sends_an_excerpt_once"),
            models.CheckConstraint(
                condition=~Q(state="shown") | ~Q(decided_by=""), name="what_is_shown_was_seen_by_a_second_person"
            ),
        ]
        indexes = [models.Index(fields=["valid_until"], name="excerpt_by_end")]

    def __str__(self) -> str:
        return self.excerpt_id


class Detector(models.Model):
    """A detector of a partner's, by the id that its indicators name; what it is called, its partner alone reads."""

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    code = models.CharField(max_length=10, help_text="d- and 8 hexadecimal digits; unique for its partner only.")
    name = models.CharField(max_length=80)
    version = models.CharField(max_length=20, default="")
    sha256 = models.CharField(max_length=64, default="")
    actor = models.CharField(max_length=80)
    registered_at = models.DateTimeField(default=clock.now)
    retired_at = models.DateTimeField(null=True)

    objects = OwnedManager["Detector"]()
    unrestricted = models.Manager["Detector"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "code"], name="a_partner_registers_a_detector_once"),
            models.CheckConstraint(condition=Q(code__regex=DETECTOR), name="a_detector_has_an_id_of_its_form"),
        ]

    def __str__(self) -> str:
        return self.code


class Ending(models.Model):
    """That a partner ended living holdings by one act: for good at once, or, beyond its cap, to be decided.

    What is disarmed can be undone `until` then, and is final after that.
    """

    class State(models.TextChoices):
        DISARMED = "disarmed", "Disarmed"
        FINAL = "final", "Final"
        UNDONE = "undone", "Undone"

    class Verb(models.TextChoices):
        REVOKE = "revoke", "Revoked"
        WITHDRAW = "withdraw", "Withdrawn"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    actor = models.CharField(max_length=80)
    verb = models.CharField(max_length=8, choices=Verb)
    objects_ended = models.IntegerField()
    at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=8, choices=State)
    until = models.DateTimeField(null=True, help_text="Of what was disarmed: when it is final.")
    reach = models.JSONField(null=True, help_text="The audience that the batch of a revocation named.")
    decided_by = models.CharField(max_length=80, default="")
    decided_at = models.DateTimeField(null=True)
    brought_back = models.IntegerField(default=0)

    objects = OwnedManager["Ending"]()
    unrestricted = models.Manager["Ending"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.CheckConstraint(condition=~Q(state="disarmed") | ~Q(until=None), name="what_is_disarmed_has_an_end")
        ]
        indexes = [
            models.Index(fields=["partner", "at"], name="ending_by_partner_and_time"),
            models.Index(fields=["until"], condition=Q(state="disarmed"), name="ending_due"),
        ]


class Disarmed(models.Model):
    """A holding that is disarmed: the audience and version that it had, and the bytes that are to end it for good."""

    id = models.BigAutoField(primary_key=True)
    ending = models.ForeignKey(Ending, on_delete=models.CASCADE, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    holding = models.OneToOneField(Holding, on_delete=models.PROTECT, related_name="+")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    newest = models.ForeignKey(StixObject, on_delete=models.PROTECT, related_name="+", db_index=False)
    body = models.TextField(help_text="The versions that came with its end, byte for byte; empty without any.")

    objects = OwnedManager["Disarmed"]()
    unrestricted = models.Manager["Disarmed"]()

    class Meta:
        base_manager_name = "unrestricted"


class Quarantined(models.Model):
    """An object that waits for its own partner to mend or delete it; nobody else sees it. `quarantine` writes it."""

    entry = models.UUIDField(unique=True, default=uuid.uuid4, editable=False, help_text="Names it; the key counts.")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="quarantined")
    batch = models.ForeignKey(Batch, on_delete=models.CASCADE, related_name="quarantined")
    stix_id = models.CharField(max_length=300)
    sealed = models.BinaryField(help_text="The bytes as sent, sealed (`exchange.sealing`), bound to partner and entry.")
    code = models.CharField(max_length=60)
    field = models.CharField(max_length=300)
    message = models.TextField()
    at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Quarantined"]()
    unrestricted = models.Manager["Quarantined"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["partner", "stix_id"], name="one_quarantined_object_per_partner_and_id")
        ]
        indexes = [models.Index(fields=["partner", "-at", "-entry"], name="quarantined_by_partner_and_at")]


class HeldBatch(models.Model):
    """What one person or key may not publish alone, as it was sent; it waits for a second person of its partner."""

    class State(models.TextChoices):
        CONFIRMED = "confirmed", "Confirmed"
        DECLINED = "declined", "Declined"
        WAITING = "waiting", "Waiting"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    batch = models.OneToOneField(Batch, on_delete=models.PROTECT, related_name="held")
    body = models.TextField(help_text="The held objects, byte for byte, in an envelope; empty once it is decided.")
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the body.")
    places = models.JSONField(help_text="Which elements of the batch they are.")
    reach = models.JSONField(help_text="The audience that the batch named.")
    why = models.CharField(max_length=300)
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=9, choices=State, default=State.WAITING)
    decided_by = models.CharField(max_length=80, default="")
    decided_at = models.DateTimeField(null=True)

    objects = OwnedManager["HeldBatch"]()
    unrestricted = models.Manager["HeldBatch"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [models.Index(fields=["partner", "-at"], name="held_by_partner_and_time")]


class ServiceHost(models.Model):
    """A host or range that a member makes known as its own: public, and with all below it in no list."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="service_hosts")
    value = models.CharField(max_length=255, help_text="In normal form: a host name, or a network in CIDR form.")
    actor = models.CharField(max_length=80)
    since = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    changed_at = models.DateTimeField(default=clock.now)
    applied_at = models.DateTimeField(null=True, help_text="When stored values were last judged by it.")

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "value"], condition=Q(ended_at=None), name="a_partner_names_a_host_once"
            )
        ]

    def __str__(self) -> str:
        return self.value


class Opinion(models.Model):
    """What one partner thinks of one holding: of the opinions that it published, the last. `opinions.recording` writes.

    `said_by` is the holding of the opinion, which decides who hears it and whether it is in force; `audience` is the
    one that was told of it last. `place` orders opinions. A dissent that does not count `alone` is beyond the cap of a
    day, until a second person of the partner confirms it.
    """

    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="opinions", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    said_by = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="says")
    audience = models.ForeignKey(Audience, on_delete=models.PROTECT, related_name="+", db_index=False)
    says = models.SmallIntegerField(help_text="1: confirms, -1: dissents, 0: neither.")
    reason = models.CharField(max_length=24)
    place = models.BigIntegerField()
    alone = models.BooleanField(default=True)
    actor = models.CharField(max_length=80, default="")
    at = models.DateTimeField(default=clock.now)

    objects = SharedManager["Opinion"]("said_by__audience", "holding__audience")
    unrestricted = models.Manager["Opinion"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["holding", "partner"], name="one_opinion_per_partner_and_holding"),
            models.CheckConstraint(condition=Q(says__in=[-1, 0, 1]), name="it_confirms_dissents_or_neither"),
        ]
        indexes = [models.Index(fields=["partner", "-at"], name="opinion_by_partner_and_time")]


class Feed(models.Model):
    """A saved filter over what its owner may see."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="feeds")
    name = models.CharField(max_length=120)
    filter = models.JSONField(default=dict, help_text="A filter, as JSON (`feeds.spelling`).")
    created_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Feed"]()
    unrestricted = models.Manager["Feed"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "name"], name="one_feed_per_name_and_partner")]

    def __str__(self) -> str:
        return self.name


class FeedSet(models.Model):
    """What is in force for one subscriber of a feed, by its own log: count and keyed hash over the rows of `InForce`.

    `after` and `fresh` are its place in the log; `place` is its own, which grows with each row that comes, changes or
    goes: cursors of the delta are places of it. Removals up to `pruned` are forgotten. `feeds.proving` is the only
    writer.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    feed = models.ForeignKey(Feed, on_delete=models.CASCADE, related_name="+", null=True)
    scope = models.TextField(help_text="The feed, its filter, and the groups that the key may see.")
    incarnation = models.CharField(max_length=40)
    set_key = models.BinaryField(max_length=32)
    after = models.BigIntegerField(default=0)
    fresh = models.BigIntegerField(default=0)
    complete = models.BooleanField(default=False, help_text="Whether it has followed the log to its end.")
    place = models.BigIntegerField(default=0)
    pruned = models.BigIntegerField(default=0)
    count = models.BigIntegerField(default=0)
    total = models.BinaryField(max_length=32, default=bytes(32))
    looked_at = models.DateTimeField(null=True, help_text="When a filter that moves by itself was last asked whole.")
    asked_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["FeedSet"]()
    unrestricted = models.Manager["FeedSet"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["partner", "scope"], name="one_set_per_subscriber_and_filter")]

    def __str__(self) -> str:
        return f"set {self.pk}"


class InForce(models.Model):
    """One object of a `FeedSet`, or what is told of its removal; `feeds.proving` is the only writer."""

    feed_set = models.ForeignKey(FeedSet, on_delete=models.CASCADE, related_name="rows", db_index=False)
    holding = models.ForeignKey(Holding, on_delete=models.PROTECT, related_name="+", db_index=False)
    version = models.ForeignKey(StixObject, on_delete=models.PROTECT, related_name="+", db_index=False)
    source = models.UUIDField(help_text="The shown source.")
    source_name = models.CharField(max_length=200)
    named = models.BooleanField()
    place = models.BigIntegerField()
    removed = models.CharField(max_length=10, blank=True, help_text="Why it went; empty while it is in force.")
    date_added = models.DateTimeField(help_text="Of the change in the log.")
    told_at = models.DateTimeField()

    objects = SharedManager["InForce"]("version__holding__audience")
    unrestricted = models.Manager["InForce"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [models.UniqueConstraint(fields=["feed_set", "holding"], name="one_row_per_set_and_holding")]
        indexes = [
            models.Index(fields=["feed_set", "place"], name="in_force_by_place"),
            models.Index(fields=["told_at"], condition=~Q(removed=""), name="in_force_that_went"),
        ]

    def __str__(self) -> str:
        return f"{self.holding_id} at {self.place}"


class Receipt(models.Model):
    """What one instance of a subscriber said it has applied of a feed; `feeds.receipts` is the only writer."""

    feed_set = models.ForeignKey(FeedSet, on_delete=models.CASCADE, related_name="receipts", db_index=False)
    instance = models.CharField(max_length=64)
    version = models.CharField(max_length=40, blank=True)
    place = models.BigIntegerField(help_text="Of the set: what was told up to it is applied.")
    equal = models.BooleanField(
        null=True, help_text="Whether its set hash was the exchange's; null where it was ahead."
    )
    counts = models.JSONField(default=dict)
    lag_s = models.FloatField(null=True)
    at = models.DateTimeField()

    objects = OwnedManager["Receipt"]()
    unrestricted = models.Manager["Receipt"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.UniqueConstraint(fields=["feed_set", "instance"], name="one_receipt_per_instance_and_set")
        ]

    def __str__(self) -> str:
        return f"{self.instance} at {self.place}"


class Subscription(models.Model):
    """A feed and the address that is told of its changes. `seq` is its place in the log."""

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        DEAD = "dead", "Given up"
        PAUSED = "paused", "Paused"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="subscriptions")
    feed = models.ForeignKey(Feed, on_delete=models.PROTECT, related_name="subscriptions", null=True)
    url = models.URLField(max_length=1000)
    secret = models.CharField(max_length=200, help_text="Signs the webhooks; the receiver holds the same.")
    old_secret = models.CharField(
        max_length=200, default="", db_default="", help_text="The one before it, which signs too, for a time."
    )
    old_secret_until = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.ACTIVE)
    seq = models.BigIntegerField(default=0)
    incarnation = models.CharField(
        max_length=16, default="", db_default="", help_text="Of the store, when it was last told to start over."
    )
    created_at = models.DateTimeField(default=clock.now)

    objects = OwnedManager["Subscription"]()
    unrestricted = models.Manager["Subscription"]()

    class Meta:
        base_manager_name = "unrestricted"


class Delivery(models.Model):
    """One message to one subscription, with its attempts. The row is the queue: `delivering` claims it.

    It names changes by their place in the log (`first_seq`..`last_seq`); the message is written when it is
    sent, after asking again what the partner may see. What a person sends by hand (`again`, `ping`) is tried once, and
    changes nothing of the subscription. After the store was restored, `start-over` goes before all other changes.
    """

    class Kind(models.TextChoices):
        AGAIN = "again", "Sent again"
        CHANGES = "changes", "Changes"
        PING = "ping", "Test"
        START_OVER = "start-over", "Start over"

    class State(models.TextChoices):
        DEAD = "dead", "Given up"
        DELIVERED = "delivered", "Delivered"
        DUE = "due", "Due"
        SENDING = "sending", "Sending"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    subscription = models.ForeignKey(Subscription, on_delete=models.CASCADE, related_name="deliveries")
    kind = models.CharField(max_length=10, choices=Kind, default=Kind.CHANGES, db_default=Kind.CHANGES)
    again_of = models.ForeignKey("self", on_delete=models.SET_NULL, related_name="+", null=True)
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    changes = models.IntegerField(help_text="How many changes the message told of.")
    state = models.CharField(max_length=10, choices=State, default=State.DUE)
    attempts = models.SmallIntegerField(default=0)
    due_at = models.DateTimeField(default=clock.now)
    claimed_until = models.DateTimeField(null=True)
    planned_at = models.DateTimeField(null=True, help_text="When it would be due, had it not been brought forward.")
    rests_until = models.DateTimeField(null=True, help_text="Until when news does not bring it forward.")
    seen_seq = models.BigIntegerField(default=0, db_default=0, help_text="Up to here, news has been considered.")
    created_at = models.DateTimeField(default=clock.now)
    finished_at = models.DateTimeField(null=True)
    status_code = models.SmallIntegerField(null=True)
    outcome = models.CharField(max_length=200, default="", help_text="Of the last attempt, in words.")

    #: The store's when it was claimed; set by `delivering.claim`.
    incarnation: str

    objects = OwnedManager["Delivery"]()
    unrestricted = models.Manager["Delivery"]()

    class Meta:
        base_manager_name = "unrestricted"
        indexes = [
            models.Index(fields=["due_at"], condition=Q(state="due"), name="delivery_due"),
            models.Index(fields=["claimed_until"], condition=Q(state="sending"), name="delivery_claimed"),
            models.Index(fields=["subscription", "-created_at"], name="delivery_by_subscription"),
            models.Index(fields=["partner", "-created_at"], name="delivery_by_partner"),
            models.Index(fields=["finished_at"], condition=Q(finished_at__isnull=False), name="delivery_by_end"),
        ]
        constraints = [
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind="changes", state__in=["due", "sending"]),
                name="one_delivery_of_changes_under_way_per_subscription",
            ),
            models.UniqueConstraint(
                fields=["subscription"],
                condition=Q(kind="start-over", state__in=["due", "sending"]),
                name="one_start_over_under_way_per_subscription",
            ),
        ]


class Progress(models.Model):
    """How far work has come that goes through a whole table, so that it goes on where it was broken off."""

    name = models.CharField(max_length=60, primary_key=True)
    seq = models.BigIntegerField(default=0)


class ReportPackage(models.Model):
    """A bundle for one recipient, prepared by one person and released by another. Written by `reporting`.

    It names the stored versions that it holds; whoever opens it is asked again what the recipient may see.
    """

    class State(models.TextChoices):
        DISCARDED = "discarded", "Discarded"
        PREPARED = "prepared", "Waits for release"
        RELEASED = "released", "Released"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports")
    recipient = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="reports_received")
    state = models.CharField(max_length=10, choices=State, default=State.PREPARED)
    title = models.CharField(max_length=300)
    root = models.CharField(max_length=300, help_text="The STIX id that it begins with.")
    object_ids = ArrayField(models.BigIntegerField(), help_text="The versions that it holds, the root first.")
    bundle_sha256 = models.BinaryField(max_length=32)
    tlp = models.SmallIntegerField(help_text="The strictest of its objects.")
    bases = models.JSONField(default=list, help_text="Of the groups concerned, as they stood.")
    ways = ArrayField(models.CharField(max_length=8), default=list, help_text="How the recipient sees the objects.")
    left_out = models.IntegerField(
        help_text="What the preparer sees and the recipient does not; for the preparer only."
    )
    cut = models.BooleanField(default=False, help_text="Whether more was connected than a package may hold.")
    prepared_by = models.CharField(max_length=80)
    prepared_name = models.CharField(max_length=150)
    prepared_at = models.DateTimeField(default=clock.now)
    released_by = models.CharField(max_length=80, default="")
    released_name = models.CharField(max_length=150, default="")
    released_at = models.DateTimeField(null=True)
    release = models.ForeignKey(AuditRecord, on_delete=models.PROTECT, related_name="+", null=True)

    objects = OwnedManager["ReportPackage"]()
    unrestricted = models.Manager["ReportPackage"]()

    class Meta:
        base_manager_name = "unrestricted"
        constraints = [
            models.CheckConstraint(
                condition=~Q(state="released") | (~Q(released_by=F("prepared_by")) & ~Q(released_by="")),
                name="another_person_releases",
            )
        ]
        indexes = [models.Index(fields=["recipient", "-released_at"], name="report_by_recipient")]

    def __str__(self) -> str:
        return self.title
