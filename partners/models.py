"""Who takes part: partners, their people and keys, the groups they share in, and who may see what.

One writer a table: `registering` makes Partner, Group and User; `life` and `steering` change Partner, RoleCeiling and
HandOver; `membership` writes Group, Membership, Proposal and Agreement, `warning` Notice; `people` changes User,
`inviting` writes Invitation, `signing_on` SignOn and Identity, `sessions` Session; `keys` writes ApiKey and KeyNetwork,
`lockout` RefusedCredentials; `sharing` writes Audience, `channels` Channel and Sight, `sources` Pseudonym; `audit`
writes AuditRecord and AuditWaiting, `transparency` AuditLeaf, AuditNode, AuditKey and TreeHead, `reads` ReadTally;
`oblivious` writes TokenKey, `groupkeys` GroupKey.
"""

from __future__ import annotations

import secrets
import uuid

from django.contrib.auth.models import AbstractUser
from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.indexes import GinIndex
from django.contrib.sessions.base_session import AbstractBaseSession
from django.db import models
from django.db.models import Q, Value
from django.db.models.functions import Lower

from exchange import clock
from exchange.tokens import epochs
from partners.attribution import Attribution
from partners.ceilings import Width
from partners.scopes import KEY_SCOPES, Role
from partners.tlp import Tlp


def _random_id() -> int:
    """53 random bits: what JSON readers of every language keep as they are."""
    return secrets.randbelow(2**53 - 1) + 1


class Partners(models.Manager["Partner"]):
    """Everybody but the exchange itself, which is no member and is on no list."""

    def get_queryset(self) -> models.QuerySet[Partner]:
        """All others."""
        return super().get_queryset().exclude(kind="exchange")


class Partner(models.Model):
    """A member organisation: a lab, the operator, or a recipient that only reads.

    And the exchange itself, as the publisher of what it finds in evidence (`registering.the_exchange`): a member of
    nothing, with neither people nor keys, and in no list of partners.
    """

    class Kind(models.TextChoices):
        EXCHANGE = "exchange", "The exchange itself"
        LAB = "lab", "Lab"
        OPERATOR = "operator", "Operator"
        RECIPIENT = "recipient", "Recipient"

    class State(models.TextChoices):
        ACTIVE = "active", "Active"
        INVITED = "invited", "Invited"
        LEFT = "left", "Left"
        SUSPENDED = "suspended", "Suspended"

    class SecondFactor(models.TextChoices):
        OPTIONAL = "optional", "Left to each person"
        PASSKEY = "passkey", "A passkey"
        REQUIRED = "required", "A passkey or an authenticator app"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    name = models.CharField(max_length=120, unique=True)
    slug = models.SlugField(max_length=60, unique=True)
    kind = models.CharField(max_length=12, choices=Kind)
    state = models.CharField(max_length=12, choices=State, default=State.ACTIVE)
    identity_id = models.CharField(max_length=80, unique=True, help_text="The id of its STIX identity object.")
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its own TAXII collection.")
    clearance = models.SmallIntegerField(choices=Tlp, help_text="The strictest marking it may receive.")
    default_tlp = models.SmallIntegerField(choices=Tlp, default=Tlp.AMBER, help_text="For objects without a marking.")
    default_audience = models.JSONField(null=True, help_text="Of what is pushed without one; null where none is set.")
    unnamed = models.BooleanField(default=False, help_text="Whether it has published anything without its name.")
    created_at = models.DateTimeField(default=clock.now)
    sight = models.IntegerField(default=0, help_text="How often what it may see has changed: a stale viewer is found.")
    second_factor = models.CharField(
        max_length=12,
        choices=SecondFactor,
        default=SecondFactor.OPTIONAL,
        help_text="What its people need besides a password.",
    )
    state_since = models.DateTimeField(default=clock.now)
    suspended_why = models.CharField(max_length=500, default="", help_text="Read by the partner and the operator only.")
    # How far it may share: as the operator says, and as it says itself. Empty is without bound.
    operator_ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    operator_ceiling_width = models.SmallIntegerField(choices=Width, null=True)
    ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    ceiling_width = models.SmallIntegerField(choices=Width, null=True)
    # What one person or key may publish alone; beyond it a second person confirms.
    alone_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    alone_width = models.SmallIntegerField(choices=Width, null=True)
    alone_objects = models.IntegerField(null=True)
    # How much goes out in a day, and ends in an hour, before a second person looks (`caps.Caps`).
    caps = models.JSONField(default=dict, db_default={})
    operator_caps = models.JSONField(default=dict, db_default={})

    objects = Partners()
    everybody = models.Manager["Partner"]()

    class Meta:
        base_manager_name = "everybody"
        constraints = [
            models.UniqueConstraint("kind", condition=models.Q(kind="operator"), name="there_is_one_operator"),
            models.UniqueConstraint("kind", condition=models.Q(kind="exchange"), name="there_is_one_exchange"),
        ]

    def __str__(self) -> str:
        return self.name


class Group(models.Model):
    """A named set of partners who agreed to share, with a dated legal basis."""

    class Policy(models.TextChoices):
        CLOSED_FACTS = "closed-facts", "Closed facts"
        OPEN_CTI = "open-cti", "Open CTI"

    class JoinRule(models.TextChoices):
        ALL_PARTNERS = "all-partners", "All partners agree"
        ANY_ADMIN = "any-admin", "Any admin invites"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    # Not unique: whoever could not take a name would learn that a group has it.
    name = models.CharField(max_length=120)
    slug = models.SlugField(max_length=60, unique=True)
    purpose = models.TextField()
    legal_basis = models.TextField()
    basis_reference = models.CharField(
        max_length=300, default="", help_text="Where the basis is found: a contract, a statute."
    )
    basis_from = models.DateField()
    basis_until = models.DateField(null=True, blank=True, help_text="The last day on which it holds.")
    policy = models.CharField(max_length=16, choices=Policy, default=Policy.CLOSED_FACTS)
    collection_id = models.UUIDField(unique=True, default=uuid.uuid4, help_text="Its TAXII collection.")
    join_rule = models.CharField(max_length=12, choices=JoinRule, default=JoinRule.ANY_ADMIN)
    evidence = models.BooleanField(
        default=False, db_default=False, help_text="Whether its terms allow evidence and prevalence, and their sums."
    )
    interval_s = models.IntegerField(
        null=True,
        help_text="A number that is told changes at most once in so many seconds; null: as the exchange is set.",
    )
    created_at = models.DateTimeField(default=clock.now)
    suspended_at = models.DateTimeField(null=True, help_text="Nothing new goes in; what is there stays.")
    suspended_why = models.CharField(max_length=500, default="")
    closed_at = models.DateTimeField(null=True, help_text="Dissolved: it has no members any more, for good.")
    partners = models.ManyToManyField(Partner, through="Membership", related_name="groups")

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(slug__regex=f"^{epochs.GROUP}$"), name="a_groups_short_name_begins_the_epochs_of_its_keys"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Membership(models.Model):
    """That a partner belongs to a group, since when and, once it has left, until when."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="memberships")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="memberships")
    since = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group"], condition=Q(until=None), name="one_open_membership_per_partner_and_group"
            )
        ]


class Proposal(models.Model):
    """What a group is asked: to take a partner in, to part with one, to renew its basis, to dissolve."""

    class Kind(models.TextChoices):
        DISSOLUTION = "dissolution", "Dissolution"
        INVITATION = "invitation", "Invitation"
        REMOVAL = "removal", "Removal"
        RENEWAL = "renewal", "Renewal"

    class State(models.TextChoices):
        DECLINED = "declined", "Declined"
        DONE = "done", "Done"
        OPEN = "open", "Open"
        OVERTAKEN = "overtaken", "Overtaken"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="proposals")
    kind = models.CharField(max_length=12, choices=Kind)
    partner = models.ForeignKey(
        Partner, on_delete=models.PROTECT, related_name="+", null=True, help_text="Whom it is about."
    )
    proposer = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    by_operator = models.BooleanField(default=False)
    legal_basis = models.TextField(default="")
    basis_reference = models.CharField(max_length=300, default="")
    basis_from = models.DateField(null=True)
    basis_until = models.DateField(null=True)
    evidence = models.BooleanField(null=True, help_text="Whether it allows evidence; null: as before.")
    made_at = models.DateTimeField(default=clock.now)
    state = models.CharField(max_length=9, choices=State, default=State.OPEN)
    decided_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["group", "kind", "partner"],
                condition=Q(state="open"),
                nulls_distinct=False,
                name="one_open_proposal_per_group_and_matter",
            )
        ]


class Agreement(models.Model):
    """That a partner agreed to a proposal, or did not, by whom and when."""

    proposal = models.ForeignKey(Proposal, on_delete=models.PROTECT, related_name="agreements")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    agreed = models.BooleanField()
    actor = models.CharField(max_length=80)
    at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["proposal", "partner"], name="one_word_per_partner_and_proposal")
        ]


class RoleCeiling(models.Model):
    """How far people of one role may share for their partner."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="role_ceilings")
    role = models.CharField(max_length=12, choices=Role)
    tlp = models.SmallIntegerField(choices=Tlp, null=True)
    width = models.SmallIntegerField(choices=Width, null=True)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["partner", "role"], name="one_ceiling_per_partner_and_role")]


class HandOver(models.Model):
    """That a partner offers another to take over its objects when it leaves, and the heir's answer."""

    class State(models.TextChoices):
        ACCEPTED = "accepted", "Accepted"
        CLOSED = "closed", "Closed"
        DONE = "done", "Done"
        OFFERED = "offered", "Offered"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="offers")
    heir = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="inheritances")
    offered_by = models.CharField(max_length=80)
    offered_at = models.DateTimeField(default=clock.now)
    answered_by = models.CharField(max_length=80, default="")
    answered_at = models.DateTimeField(null=True)
    state = models.CharField(max_length=8, choices=State, default=State.OFFERED)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner"],
                condition=Q(state__in=["offered", "accepted"]),
                name="one_open_hand_over_per_partner",
            )
        ]


class Notice(models.Model):
    """That a partner was warned of the end of a group's basis: once for each end and number of days."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="notices")
    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="+")
    basis_until = models.DateField()
    days = models.SmallIntegerField(help_text="60, 30 or 7: how many days before the end it is due.")
    made_at = models.DateTimeField(default=clock.now)
    mailed_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "group", "basis_until", "days"], name="one_notice_per_partner_end_and_days"
            )
        ]


class User(AbstractUser):
    """A person of a partner."""

    id = models.BigIntegerField(primary_key=True, default=_random_id, help_text="Drawn: a count would tell of others.")
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="users", null=True)
    role = models.CharField(max_length=12, choices=Role, default=Role.ANALYST)

    class Meta:
        constraints = [models.UniqueConstraint(Lower("username"), name="one_user_per_name_in_whatever_case")]


class Invitation(models.Model):
    """That somebody may become a person of a partner, once; only the digest of the link's token is stored."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="invitations")
    email = models.EmailField()
    role = models.CharField(max_length=12, choices=Role)
    digest = models.BinaryField(max_length=32, unique=True, help_text="SHA-256 of the token, which holds 256 bits.")
    invited_by = models.ForeignKey(User, on_delete=models.PROTECT, related_name="+", null=True)
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    accepted_at = models.DateTimeField(null=True, blank=True)
    accepted_by = models.OneToOneField(User, on_delete=models.PROTECT, related_name="invitation", null=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        constraints = [
            models.CheckConstraint(
                condition=Q(accepted_at=None) | Q(revoked_at=None), name="an_invitation_ends_in_one_way"
            )
        ]


class Mail(models.Model):
    """A message that waits to be sent, or something asked for that ends in messages. Gone once it is done."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.ForeignKey(
        Partner, on_delete=models.CASCADE, related_name="+", null=True, help_text="On whose behalf: whose share it is."
    )
    purpose = models.CharField(max_length=30)
    content = models.BinaryField(help_text="Sealed, bound to this row.")
    created_at = models.DateTimeField(default=clock.now)
    due_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField(help_text="After this it is of no use to anybody.")
    claimed_until = models.DateTimeField(null=True)
    attempts = models.SmallIntegerField(default=0)

    class Meta:
        indexes = [models.Index(fields=["due_at"], name="mail_due")]


class SignOn(models.Model):
    """Where the people of a partner sign in with their own organisation: an OpenID Connect issuer."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    partner = models.OneToOneField(Partner, on_delete=models.PROTECT, related_name="sign_on")
    issuer = models.CharField(max_length=300)
    client_id = models.CharField(max_length=200)
    client_secret = models.BinaryField(help_text="Sealed, bound to this row.")
    changed_at = models.DateTimeField(default=clock.now)
    authorization_endpoint = models.CharField(
        max_length=1000,
        default="",
        db_default="",
        help_text="Where its people sign in, as it says; empty until it was asked.",
    )
    trouble = models.CharField(
        max_length=300, default="", db_default="", help_text="Why it could not be asked the last time."
    )


class Question(models.Model):
    """What an issuer is to be asked by a worker, and its answer; gone once that is read, or of no use any more."""

    class Kind(models.TextChoices):
        DISCOVER = "discover", "Where its pages are"
        IDENTIFY = "identify", "Who came back"

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    sign_on = models.ForeignKey(SignOn, on_delete=models.CASCADE, related_name="+")
    partner = models.ForeignKey(Partner, on_delete=models.CASCADE, related_name="+")
    kind = models.CharField(max_length=8, choices=Kind)
    content = models.BinaryField(help_text="Sealed, bound to this row.")
    answer = models.BinaryField(null=True, help_text="Sealed, bound to this row.")
    created_at = models.DateTimeField(default=clock.now)
    until = models.DateTimeField()
    claimed_until = models.DateTimeField(null=True)


class Identity(models.Model):
    """Who a person is at the issuer of the partner: bound on issuer and subject, never on an e-mail address."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    user = models.ForeignKey(User, on_delete=models.PROTECT, related_name="identities")
    issuer = models.CharField(max_length=300)
    subject = models.CharField(max_length=255)
    linked_at = models.DateTimeField(default=clock.now)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["partner", "issuer", "subject"], name="one_person_per_issuer_and_subject"),
            models.UniqueConstraint(fields=["user", "issuer"], name="one_subject_per_person_and_issuer"),
        ]


class Session(AbstractBaseSession):
    """A browser that is signed in, or about to be: Django's session, with what its person wants to know of it."""

    handle = models.CharField(max_length=32, db_index=True, help_text="Names it on pages; the key itself never shows.")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="sessions", null=True)
    browser = models.CharField(max_length=60, default="")
    network = models.CharField(max_length=50, default="")
    started_at = models.DateTimeField(default=clock.now)
    seen_at = models.DateTimeField(default=clock.now)


class ApiKey(models.Model):
    """A machine credential of a partner; only the digest of its secret is stored."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="keys")
    name = models.CharField(max_length=80)
    public_id = models.CharField(max_length=16, unique=True)
    digest = models.BinaryField(max_length=32, help_text="SHA-256 of the whole key, which holds 160 random bits.")
    scopes = ArrayField(models.CharField(max_length=12, choices=[(s.value, s.value) for s in sorted(KEY_SCOPES)]))
    groups = ArrayField(models.UUIDField(), null=True, blank=True, help_text="Null: all groups of its partner.")
    networks = ArrayField(models.CharField(max_length=43), default=list, help_text="Empty: from anywhere.")
    certificate_subject = models.CharField(max_length=400, blank=True, help_text="Distinguished name, exactly.")
    certificate_sha256 = models.CharField(max_length=64, blank=True)
    parent = models.ForeignKey("self", on_delete=models.PROTECT, null=True, blank=True, related_name="children")
    created_by = models.CharField(max_length=80, default="system")
    created_at = models.DateTimeField(default=clock.now)
    expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)
    ceiling_tlp = models.SmallIntegerField(choices=Tlp, null=True)
    ceiling_width = models.SmallIntegerField(choices=Width, null=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=~Q(groups=[]), name="a_limited_key_names_its_groups")]

    def __str__(self) -> str:
        return f"{self.name} ({self.public_id})"


class KeyNetwork(models.Model):
    """That a key was used from a network (/24 or /48), first and last; the newest few of each key."""

    key = models.ForeignKey(ApiKey, on_delete=models.CASCADE, related_name="networks_seen")
    prefix = models.CharField(max_length=43)
    first_at = models.DateTimeField()
    last_at = models.DateTimeField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["key", "prefix"], name="one_row_per_key_and_network")]


class RefusedCredentials(models.Model):
    """How often invalid keys came from one network, or naming one public id, of late. Written by `lockout`."""

    name = models.CharField(max_length=60, primary_key=True)
    refused = models.IntegerField()
    since = models.DateTimeField(db_index=True)
    until = models.DateTimeField(null=True, help_text="Locked out until then.")


class Audience(models.Model):
    """Who may see one object. Interned: objects with the same audience share one row.

    There are as many rows as there are distinct ways of sharing in use (tens to hundreds), so the rule is
    asked of this small table, and content is found by `audience_id` alone (ADR 0006).
    `groups` and `partners` are sorted arrays of their ids; neither is ever deleted. `channels` are the ways by which
    the log tells of its objects, and the rule: who has one of them open sees them. Nothing that is withdrawn is
    seen by anybody (ADR 0009).
    """

    class Use(models.TextChoices):
        OBJECTS = "objects", "Of objects"
        WITHDRAWN = "withdrawn", "Of what its publisher took back"

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
        EVERYONE = "everyone", "Everyone"
        GROUP = "group", "The members of a group"
        NAMED = "named", "A partner that is named"
        OWN = "own", "The publisher itself"
        TOLD = "told", "A partner that is told of its sight"

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


class AuditRecord(models.Model):
    """One thing that was done, and the content of one leaf. Append-only: triggers refuse every UPDATE and DELETE.

    `leaf_hash` is over the canonical JSON of all else (`audit.canonical`); `nonce` is random, so that whoever sees the
    hash cannot confirm a guess of the contents.
    """

    at = models.DateTimeField(default=clock.now)
    verb = models.CharField(max_length=40)
    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="audit", null=True)
    actor = models.CharField(max_length=80)
    target = models.CharField(max_length=200)
    details = models.JSONField(default=dict)
    nonce = models.BinaryField(max_length=16)
    leaf_hash = models.BinaryField(max_length=32, unique=True)

    class Meta:
        indexes = [models.Index(fields=["partner", "-at"], name="audit_by_partner_and_time")]


class AuditWaiting(models.Model):
    """A record that has no place in the tree yet. Written with it, taken away with its leaf."""

    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, primary_key=True, related_name="+")


class AuditLeaf(models.Model):
    """The place of a record in the tree, given after its commit. Append-only."""

    index = models.BigIntegerField(primary_key=True)
    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, related_name="leaf")
    leaf_hash = models.BinaryField(max_length=32)


class AuditNode(models.Model):
    """The hash of one perfect subtree of `2**level` leaves, level 1 and above: proofs read a few. Append-only."""

    level = models.SmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField(max_length=32)

    class Meta:
        constraints = [models.UniqueConstraint(fields=["level", "index"], name="one_node_per_place")]


class AuditKey(models.Model):
    """A public key that has signed tree heads; kept for as long as its heads are. Append-only."""

    key_id = models.CharField(max_length=16, primary_key=True)
    public_key = models.BinaryField(max_length=32)
    since = models.DateTimeField(default=clock.now)


class TreeHead(models.Model):
    """The root of the first `size` leaves, signed and published. Append-only."""

    size = models.BigIntegerField(primary_key=True)
    root = models.BinaryField(max_length=32)
    at = models.DateTimeField()
    key = models.ForeignKey(AuditKey, on_delete=models.PROTECT, related_name="+")
    signature = models.BinaryField(max_length=64)


class TokenKey(models.Model):
    """The public key of one kind and epoch, as it was first seen from the key service. Append-only.

    Its record is a leaf of the log, so that two partners cannot be shown two keys.
    """

    kind = models.CharField(max_length=24)
    epoch = models.CharField(max_length=16)
    public_key = models.BinaryField(max_length=32)
    record = models.OneToOneField(AuditRecord, on_delete=models.PROTECT, related_name="+")

    class Meta:
        constraints = [models.UniqueConstraint(fields=["kind", "epoch"], name="one_public_key_per_kind_and_epoch")]


class GroupKey(models.Model):
    """A key under which the members of one group make tokens; sealed at rest.

    `replaced_at`: a member left; those who stayed publish under it and its successor for 14 days.
    """

    group = models.ForeignKey(Group, on_delete=models.PROTECT, related_name="token_keys")
    quarter = models.CharField(max_length=8)
    number = models.PositiveIntegerField(help_text="Grows with each member that leaves.")
    sealed = models.BinaryField()
    made_at = models.DateTimeField(default=clock.now)
    replaced_at = models.DateTimeField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["group", "quarter", "number"], name="one_key_per_group_quarter_and_number"),
            models.UniqueConstraint(
                fields=["group", "quarter"],
                condition=Q(replaced_at=None),
                name="one_live_key_per_group_and_quarter",
            ),
        ]


class ReadTally(models.Model):
    """What one key or person was handed in one hour through one surface; closed hours become AuditRecords."""

    partner = models.ForeignKey(Partner, on_delete=models.PROTECT, related_name="+")
    actor = models.CharField(max_length=80)
    surface = models.CharField(max_length=40)
    feed = models.CharField(max_length=80, default="")
    hour = models.DateTimeField()
    pages = models.BigIntegerField()
    objects_read = models.BigIntegerField()
    first_seq = models.BigIntegerField(null=True)
    last_seq = models.BigIntegerField(null=True)

    class Meta:
        constraints = [
            models.UniqueConstraint(
                fields=["partner", "actor", "surface", "feed", "hour"], name="one_tally_per_reader_and_hour"
            )
        ]
        indexes = [models.Index(fields=["hour"], name="tally_by_hour")]
