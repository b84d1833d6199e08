"""What is held: holdings, their versions, and what the versions point to.

`publishing` (with `storing`) writes all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVector, SearchVectorField
from django.db import models
from django.db.models import Q
from django.db.models.functions import Now
from django.utils.translation import gettext_lazy as _

from partners.models import Audience, Partner
from partners.sharing import OwnedManager, Shared, SharedManager

if TYPE_CHECKING:
    import uuid

    from django.db.models import QuerySet

    from partners.viewer import Viewer


class Holding(Shared):
    """What one partner holds under one STIX id; its versions hang below it.

    Ids are held per publisher: the same id from two partners is two holdings that know nothing of each other. All that
    changes is here, in a narrow row: who sees it (`audience`, with how its source is shown), what has become of it
    (`state`), and its newest version. `newest` is null where there is nothing to show: all of it was withdrawn or
    disarmed, or it ended without a version that says so (then its state is `revoked`). `kind` and `valid_until` are the
    newest version's. `living` says what a state means to readers.
    """

    class State(models.TextChoices):
        DISARMED = "disarmed", _("Disarmed")
        EXPIRED = "expired", _("Expired")
        LIVE = "live", _("Live")
        REVOKED = "revoked", _("Revoked")
        WITHDRAWN = "withdrawn", _("Withdrawn")

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


class SharedId(models.Model):
    """An id of which several publishers' holdings were told in the log; of every other, each reader has one line.

    The database itself writes it, under the order lock, whenever the log is written (migration 0075).
    """

    # As in `Holding`.
    stix_id = models.CharField(max_length=300, primary_key=True, db_collation="C")


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
    listed = models.TextField(
        null=True,
        help_text="The entries of lists that it gives while it is the newest, as JSON (`carrying.listed`);"
        " null: it is to be asked what its holding carries.",
    )
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
        ALL = "all", _("Everybody")
        OTHERS = "others", _("Everybody but its publisher")

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
