"""Evidence, prevalence and what is told of them, for one group each. Read by the exchange alone.

One writer a table: `terms` writes Pool and Submission, `evidence` Suspect and Carried, `prevalence` Prevalence and new
rows of EvidenceToken, `sums` ToldSum and what becomes of EvidenceToken. `ending` deletes of all of them.
There are millions of rows, so most of their keys have no constraint in the database: `ending` keeps them true.
"""

from __future__ import annotations

from uuid import UUID

from django.db import models
from django.db.models import Q
from django.utils.translation import gettext_lazy as _

from exchange import clock
from partners.models import Group, Partner

#: In the place of a lab, where none is meant.
NOBODY = UUID(int=0)


class Pool(models.Model):
    """What a group's members pool. Its row is the lock under which places are given, in the order of commits."""

    group = models.OneToOneField(Group, on_delete=models.PROTECT, primary_key=True, related_name="+")
    place = models.BigIntegerField(default=0)


class Submission(models.Model):
    """How far a lab is with its evidence for a group; its row is the lock of the lab's own writes there."""

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    round = models.IntegerField(default=0, help_text="The newest that a line came for.")
    finished = models.IntegerField(default=0)
    sent_at = models.DateTimeField(null=True)
    day = models.DateField(help_text="The day, UTC, that these are counted for.")
    lines = models.IntegerField(default=0)
    answers = models.IntegerField(default=0)
    most_accounts = models.IntegerField(null=True, help_text="It holds no more; null where nobody has counted yet.")
    most_tokens = models.IntegerField(null=True, help_text="Nor more different tokens; null as above.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "partner"], name="one_submission_per_group_and_partner")
        ]


class Suspect(models.Model):
    """An account that its lab takes for a part of a campaign, under the lab's pseudonym for it."""

    class Basis(models.TextChoices):
        OWN_FLAG = "own_flag", _("Flagged by the lab itself")
        SCORED = "scored", _("Found by its score")

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    account = models.UUIDField()
    basis = models.CharField(max_length=8, choices=Basis)
    publisher_action = models.CharField(max_length=10)
    until = models.DateTimeField()
    round = models.IntegerField()
    digest = models.BinaryField(max_length=16, help_text="Of what the lab said, to find what is unchanged.")
    since = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "partner", "account"], name="one_row_per_account_and_group")
        ]
        indexes = [models.Index(fields=["until"], name="suspect_by_end")]


class EvidenceToken(models.Model):
    """A token that evidence of a group carries, or carried.

    `holders` and `suspects` are what counts of what the labs answered (`purity.counted_answers`). `due`: when a change
    may be told that could not be told at once.
    """

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    subkind = models.CharField(max_length=16)
    scheme = models.CharField(max_length=32)
    epoch = models.CharField(max_length=80)
    psp_scope = models.CharField(max_length=32, default="")
    value = models.BinaryField(max_length=32)
    wide = models.BooleanField(default=False, help_text="Of `net`: a network, not one address.")
    asked = models.BooleanField(default=False)
    place = models.BigIntegerField(default=0, help_text="In the list of what is asked.")
    ended_at = models.DateTimeField(null=True, help_text="Since when nobody asks, or from when on, where it is asked.")
    holders = models.BigIntegerField(default=0)
    suspects = models.BigIntegerField(default=0)
    due = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "value", "subkind", "epoch", "scheme", "psp_scope"],
                name="one_row_per_token_and_group",
            )
        ]
        indexes = [
            models.Index(fields=["group", "place"], name="token_by_place"),
            models.Index(fields=["due"], condition=Q(due__isnull=False), name="token_due"),
            models.Index(fields=["ended_at"], condition=Q(ended_at__isnull=False), name="token_by_end"),
        ]


class Carried(models.Model):
    """That an account carries a token. Keys of Suspect and EvidenceToken."""

    suspect = models.BigIntegerField()
    token = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["suspect", "token"], name="an_account_carries_a_token_once")]
        indexes = [models.Index(fields=["token", "suspect"], name="carried_by_token")]


class Prevalence(models.Model):
    """Of a token at a lab: how many accounts of its evidence carry it, and what the lab answers (buckets)."""

    token = models.BigIntegerField()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    carried = models.IntegerField(default=0)
    holders = models.BigIntegerField(default=0)
    suspects = models.BigIntegerField(default=0)
    changed_at = models.DateTimeField(default=clock.now, help_text="When the answer changed last.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["token", "partner"], name="one_answer_per_token_and_partner"),
            models.CheckConstraint(
                condition=Q(suspects__lte=models.F("holders")), name="suspects_are_some_of_the_holders"
            ),
        ]
        indexes = [models.Index(fields=["group", "partner"], name="prevalence_by_partner")]


class ToldSum(models.Model):
    """What a lab was told of a token last: sums over the others, and whether one other lab alone published it.

    With neither, or `ended`, it was told that what it was told before has ended. Sums of what has ended are kept: who
    asks again is told the same, until two other labs' answers have changed since `summed_at`.
    """

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    token = models.BigIntegerField()
    holders = models.BigIntegerField(null=True)
    suspects = models.BigIntegerField(null=True)
    holders_less = models.BigIntegerField(null=True)
    suspects_less = models.BigIntegerField(null=True)
    word = models.BooleanField(default=False)
    ended = models.BooleanField(default=False, db_default=False)
    told_at = models.DateTimeField()
    summed_at = models.DateTimeField(null=True, help_text="When the sums were made; null: when they were told.")
    place = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "partner"], name="one_row_told_per_token_and_partner")]
        indexes = [models.Index(fields=["group", "partner", "place"], name="told_by_place")]


class Stir(models.Model):
    """Something that clustering is to look at: the queue. Only ever added to, and deleted by who has looked at it.

    Each lab whose calls wait here has a queue of its own, in order of `id`; they are served in turn (law 11).
    """

    class Kind(models.TextChoices):
        LEFT = "left", _("An account that is gone, or carries something else")
        PLACE = "place", _("An account that has no place yet")
        TOKEN = "token", _("A token that became pure, or is no longer")
        LET_GO = "letgo", _("A token that an account carries no more")

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    kind = models.CharField(max_length=5, choices=Kind)
    lab = models.UUIDField(default=NOBODY, db_default=NOBODY, help_text="Whose call it came of; zero: of nobody's.")
    key = models.BigIntegerField()

    class Meta:
        indexes = [models.Index(fields=["group", "kind", "lab", "id"], name="stir_by_group_and_lab")]


class PureToken(models.Model):
    """A token that counts for clustering now; written with what follows from it."""

    token = models.BigIntegerField(primary_key=True)
    votes = models.BooleanField(
        db_default=True, help_text="It was on few accounts when these were asked last (`asking`)."
    )


class Cluster(models.Model):
    """What is joined, on whosoever's word. `dirty`: to be built anew, for something that held it is gone."""

    id = models.BigAutoField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    accounts = models.IntegerField(default=0)
    dirty = models.BooleanField(default=False)
    built_at = models.DateTimeField(null=True)
    looked_at = models.DateTimeField(null=True)
    due = models.DateTimeField(null=True, help_text="Since when its campaigns are to be looked at.")
    causes = models.JSONField(default=list, help_text="Subkinds of the tokens that changed it since they were.")

    class Meta:
        indexes = [
            models.Index(fields=["due"], condition=Q(due__isnull=False), name="cluster_due"),
            models.Index(fields=["group"], condition=Q(dirty=True), name="cluster_to_be_built_anew"),
        ]


class Core(models.Model):
    """Accounts of one lab that payment, device or mailbox joins."""

    id = models.BigAutoField(primary_key=True)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    cluster = models.BigIntegerField()
    accounts = models.IntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["cluster"], name="core_by_cluster")]


class CoreToken(models.Model):
    """The core of a lab whose accounts carry a token that makes cores."""

    token = models.BigIntegerField()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    core = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["token", "partner"], name="one_core_per_token_and_lab")]
        indexes = [models.Index(fields=["core"], name="token_by_core")]


class ClusterToken(models.Model):
    """On how many accounts of a cluster a token is that may join."""

    cluster = models.BigIntegerField()
    token = models.BigIntegerField()
    accounts = models.IntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["cluster", "token"], name="one_count_per_cluster_and_token")]
        indexes = [models.Index(fields=["token"], condition=Q(accounts__gte=2), name="cluster_by_token")]


class Placed(models.Model):
    """Where an account is: its core, and its campaign with how well that is founded."""

    suspect = models.BigIntegerField(primary_key=True)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    core = models.BigIntegerField()
    campaign = models.UUIDField(null=True)
    grade = models.CharField(max_length=16, default="")
    elected = models.BooleanField(default=False, help_text="By its rare tokens.")
    looked_at = models.DateTimeField(null=True, help_text="When its rare tokens were asked; null: to be asked.")
    since = models.DateTimeField(default=clock.now, help_text="In this campaign.")

    class Meta:
        indexes = [
            models.Index(fields=["core"], name="placed_by_core"),
            models.Index(fields=["campaign", "partner"], name="placed_by_campaign"),
            models.Index(
                fields=["group", "looked_at", "partner"],
                condition=Q(campaign=None) | Q(elected=True),
                name="placed_to_be_asked",
            ),
        ]


class Campaign(models.Model):
    """A campaign of one group, as the exchange proposes it.

    Written by `proposing` and `counting`; what was told, by `announcing`.
    """

    class State(models.TextChoices):
        ENDED = "ended", _("Ended")
        LIVE = "live", _("Live")

    id = models.UUIDField(primary_key=True, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    name = models.CharField(max_length=60)
    cluster = models.BigIntegerField()
    state = models.CharField(max_length=5, choices=State, default=State.LIVE)
    grade = models.CharField(max_length=16)
    accounts = models.IntegerField(default=0)
    labs = models.JSONField(default=dict, help_text="By partner's id, how many accounts.")
    kinds = models.JSONField(default=list, help_text="Kinds of the tokens that hold it together.")
    first_seen = models.DateTimeField()
    last_seen = models.DateTimeField()
    created_at = models.DateTimeField(default=clock.now)
    ended_at = models.DateTimeField(null=True)
    into = models.UUIDField(null=True, help_text="Which it became a part of.")
    changed_at = models.DateTimeField(default=clock.now)
    told = models.JSONField(default=dict, help_text="What was published of it last.")
    told_at = models.DateTimeField(null=True)
    told_labs = models.JSONField(default=list, db_default=[], help_text="Ids of its labs when it was told first.")
    carried_at = models.DateTimeField(null=True, help_text="When its rows of ToldToken changed last; told to nobody.")
    picture = models.JSONField(default=dict, help_text="Nodes and edges, as of then.")
    dismissed = models.BooleanField(default=False, help_text="Most of the labs in it say that it is none.")
    parted = models.IntegerField(
        default=0,
        db_default=0,
        help_text="Most of the labs in it say that it is two: parts join on so many tokens; 1: to be found.",
    )
    spans = models.BooleanField(
        default=False, db_default=False, help_text="Most labs say of what it joined that it is one with it."
    )
    one_with = models.UUIDField(null=True, help_text="Most labs say that it is one with this: to be joined.")
    due = models.DateTimeField(null=True, help_text="When it is to be published again.")

    class Meta:
        indexes = [
            models.Index(fields=["group", "state", "-changed_at"], name="campaign_by_group"),
            models.Index(fields=["cluster"], name="campaign_by_cluster"),
            models.Index(fields=["due"], condition=Q(due__isnull=False), name="campaign_due"),
        ]
        constraints = [
            models.UniqueConstraint(fields=["group", "name"], name="one_campaign_per_group_and_name"),
        ]


class ToldToken(models.Model):
    """A token that makes cores, which accounts of a lab in a campaign carried when these were kept last.

    By it a lab finds its campaigns of other groups in which the same tokens stand. `key`: of the token, the same in all
    groups. Written by `announcing`.
    """

    campaign = models.UUIDField()
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+", db_index=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    key = models.BigIntegerField()

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["campaign", "partner", "key"], name="one_row_told_per_campaign_lab_and_token"
            )
        ]
        indexes = [models.Index(fields=["partner", "key"], name="told_token_by_lab")]


class CampaignEvent(models.Model):
    """What became of a campaign: made, grew tenfold, joined, split, ended, and by which kinds of tokens."""

    class Kind(models.TextChoices):
        CREATED = "created", _("Created")
        DISMISSED = "dismissed", _("Dismissed")
        ENDED = "ended", _("Ended")
        GREW = "grew", _("Grew tenfold")
        JOINED = "joined", _("Another became a part of it")
        SPLIT = "split", _("A part became another")
        TAKEN_UP = "taken-up", _("No longer dismissed")

    campaign = models.UUIDField()
    at = models.DateTimeField(default=clock.now)
    kind = models.CharField(max_length=9, choices=Kind)
    other = models.UUIDField(null=True)
    causes = models.JSONField(default=list)

    class Meta:
        indexes = [models.Index(fields=["campaign", "at"], name="event_by_campaign")]


class CampaignStatement(models.Model):
    """One partner's word of a campaign; the newest takes the place of the one before. Written by `statements`."""

    class Says(models.TextChoices):
        CONFIRM = "confirm", _("It is one")
        DISMISS = "dismiss", _("It is none")
        ONE = "one", _("It and another are one")
        TWO = "two", _("It is two")

    campaign = models.UUIDField()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    says = models.CharField(max_length=7, choices=Says)
    reason = models.CharField(max_length=20)
    other = models.UUIDField(null=True)
    at = models.DateTimeField()
    of = models.JSONField(default=dict, help_text="What was told of the campaign when it was said.")

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "partner"], name="one_word_per_campaign_and_partner")
        ]


class CampaignAlias(models.Model):
    """What a partner calls a campaign; nobody else sees it. Written by `statements`."""

    campaign = models.UUIDField()
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+", db_index=False)
    alias = models.CharField(max_length=120)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["campaign", "partner"], name="one_alias_per_campaign_and_partner")
        ]
