"""The shapes of answers about who, for the API's description."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from partners.scopes import KEY_SCOPES

_KINDS = ["ally", "lab", "operator", "recipient"]
_ROLES = ["admin", "analyst", "counsel", "publisher"]
_TLP = ["clear", "green", "amber", "amber+strict", "red"]


class PartnerDocument(serializers.Serializer[object]):
    """A member organisation."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()
    kind = serializers.ChoiceField(_KINDS)
    identity_id = serializers.CharField(help_text="Its STIX identity.")


class PartnerList(serializers.Serializer[object]):
    """The active partners."""

    partners = PartnerDocument(many=True)


class TermsDocument(serializers.Serializer[object]):
    """Terms on which a partner is given report packages."""

    id = serializers.UUIDField()
    jurisdiction = serializers.CharField(help_text="ISO 3166; `EU`, `UN`.")
    reference = serializers.CharField()
    until = serializers.DateField(allow_null=True)
    strictest = serializers.ChoiceField(_TLP, help_text="The strictest marking that a package may hold.")
    forms = serializers.ListField(child=serializers.ChoiceField(["csv", "form", "stix"]))
    in_force = serializers.BooleanField(help_text="Today.")
    ended_at = serializers.DateTimeField(allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": serializers.DateField(), **super().get_fields()}


class RecipientDocument(PartnerDocument):
    """Who is given report packages, and on which terms."""

    terms = TermsDocument(many=True, help_text="None: the rule of visibility alone decides.")


class RecipientList(serializers.Serializer[object]):
    """Recipients, by name."""

    recipients = RecipientDocument(many=True)


class RegisteredPartnerDocument(PartnerDocument):
    """A partner as the operator sees it."""

    state = serializers.ChoiceField(["active", "invited", "left", "suspended"])
    state_since = serializers.DateTimeField()
    suspended_why = serializers.CharField(allow_null=True)


class RegisteredPartnerList(serializers.Serializer[object]):
    """Every partner."""

    partners = RegisteredPartnerDocument(many=True)


class InvitedPartnerDocument(serializers.Serializer[object]):
    """A partner whose admin is invited."""

    partner = RegisteredPartnerDocument()
    email = serializers.EmailField()
    expires_at = serializers.DateTimeField()
    link = serializers.CharField(help_text="Good once; shown nowhere else.")


class OwnPartnerDocument(PartnerDocument):
    """The caller's partner."""

    collection_id = serializers.UUIDField(help_text="Its own TAXII collection.")


class GroupNameDocument(serializers.Serializer[object]):
    """A group by its names."""

    id = serializers.UUIDField()
    slug = serializers.CharField()
    name = serializers.CharField()


class Me(serializers.Serializer[object]):
    """Who the key belongs to, and what it may do."""

    partner = OwnPartnerDocument()
    groups = GroupNameDocument(many=True)
    scopes = serializers.ListField(child=serializers.CharField())
    clearance = serializers.ChoiceField(_TLP, help_text="The strictest marking that it may see.")
    default_tlp = serializers.ChoiceField(_TLP, help_text="The marking of what it publishes without one.")


class GroupDocument(GroupNameDocument):
    """A group with its legal basis."""

    purpose = serializers.CharField(allow_blank=True)
    policy = serializers.ChoiceField(["closed-facts", "open-cti"])
    join_rule = serializers.ChoiceField(["any-admin", "all-partners"])
    legal_basis = serializers.CharField(allow_blank=True)
    basis_reference = serializers.CharField(allow_blank=True, help_text="Where the basis is found.")
    basis_from = serializers.DateField()
    basis_until = serializers.DateField(allow_null=True, help_text="The last day on which it holds.")
    evidence = serializers.BooleanField(help_text="Whether its terms allow evidence, prevalence and their sums.")
    takes_new = serializers.BooleanField(help_text="Whether something can be published into it today.")
    partners = serializers.ListField(child=serializers.CharField(), help_text="Slugs of its present members.")


class WordDocument(serializers.Serializer[object]):
    """What one partner said to a proposal."""

    partner = serializers.CharField()
    at = serializers.DateTimeField()


class ProposalDocument(serializers.Serializer[object]):
    """What a group is asked: to take a partner in, to part with one, to renew its basis, to dissolve."""

    id = serializers.UUIDField()
    kind = serializers.ChoiceField(["invitation", "removal", "renewal", "dissolution"])
    state = serializers.ChoiceField(["open", "done", "declined", "overtaken"])
    group = GroupNameDocument()
    partner = serializers.CharField(allow_null=True, help_text="Slug of whom it is about.")
    proposed_by = serializers.CharField()
    made_at = serializers.DateTimeField()
    legal_basis = serializers.CharField(allow_blank=True)
    basis_reference = serializers.CharField(allow_blank=True)
    basis_from = serializers.DateField(allow_null=True)
    basis_until = serializers.DateField(allow_null=True)
    evidence = serializers.BooleanField(
        allow_null=True, help_text="Whether the basis would allow evidence and prevalence; null: as before."
    )
    agreed = WordDocument(many=True)
    asks_you = serializers.BooleanField(help_text="Whether it waits for the caller's partner.")


class ProposalList(serializers.Serializer[object]):
    """The open proposals that concern the caller's partner."""

    proposals = ProposalDocument(many=True)


class CeilingDocument(serializers.Serializer[object]):
    """The most open marking and the widest audience."""

    tlp = serializers.ChoiceField(_TLP)
    audience = serializers.ChoiceField(["everyone", "groups", "partners"])


class FourEyesDocument(CeilingDocument):
    """What one person or key may publish alone."""

    objects = serializers.IntegerField(allow_null=True, min_value=1, max_value=1_000_000)


class CapsDocument(serializers.Serializer[object]):
    """How much goes out in a day, and ends in an hour, before a second person looks; null: no bound."""

    objects = serializers.IntegerField(allow_null=True, required=False, min_value=1, help_text="Objects a day.")
    recipients = serializers.IntegerField(
        allow_null=True, required=False, min_value=1, help_text="The partners that see each object, added up, a day."
    )
    broad = serializers.IntegerField(
        allow_null=True,
        required=False,
        min_value=1,
        help_text="Networks, AS numbers, card ranges, mail domains, rules, regexes and NOVA rules a day.",
    )
    ends = serializers.IntegerField(
        allow_null=True,
        required=False,
        min_value=1,
        help_text="Living objects that are revoked or withdrawn an hour: more are disarmed. Null: 500.",
    )


class RoleCeilings(serializers.Serializer[object]):
    """A ceiling for each role that publishes."""

    admin = CeilingDocument(required=False)
    publisher = CeilingDocument(required=False)


class DefaultAudienceDocument(serializers.Serializer[object]):
    """Who sees what is pushed without an audience."""

    open_to_everyone = serializers.BooleanField(
        required=False, help_text="Whether what is CLEAR or GREEN goes to every partner instead."
    )
    groups = serializers.ListField(child=serializers.CharField(), required=False, help_text="Slugs of groups of yours.")
    partners = serializers.ListField(child=serializers.CharField(), required=False, help_text="Slugs of partners.")


class NoticeDocument(serializers.Serializer[object]):
    """A warning of the end of a group's basis."""

    group = serializers.CharField()
    basis_until = serializers.DateField()
    days = serializers.IntegerField()


class OwnSettingsDocument(OwnPartnerDocument):
    """The caller's partner, how far it shares, and what it is warned of."""

    state = serializers.ChoiceField(["active"])
    clearance = serializers.ChoiceField(_TLP)
    default_tlp = serializers.ChoiceField(_TLP)
    default_audience = DefaultAudienceDocument(
        allow_null=True, help_text="Null: a push that names no audience is refused."
    )
    open_policy = serializers.ChoiceField(
        ["closed-facts", "open-cti"], help_text="What everyone, and named partners, may be sent."
    )
    ceiling = CeilingDocument()
    operator_ceiling = CeilingDocument()
    role_ceilings = RoleCeilings()
    four_eyes = FourEyesDocument()
    caps = CapsDocument(help_text="As your admins set them.")
    operator_caps = CapsDocument(help_text="As the operator sets them.")
    caps_in_force = CapsDocument(help_text="The strictest of both.")
    notices = NoticeDocument(many=True)


class GroupList(serializers.Serializer[object]):
    """The caller's own groups."""

    groups = GroupDocument(many=True)


_SCOPES = sorted(scope.value for scope in KEY_SCOPES)


class NetworkSeen(serializers.Serializer[object]):
    """A network that a key was used from: an IPv4 /24, an IPv6 /48."""

    network = serializers.CharField()
    first_at = serializers.DateTimeField()
    last_at = serializers.DateTimeField()


class KeyDocument(serializers.Serializer[object]):
    """A key without its secret, which is stored nowhere."""

    id = serializers.CharField(help_text="Its public id, the part after `exk_`.")
    name = serializers.CharField()
    scopes = serializers.ListField(child=serializers.CharField())
    groups = serializers.ListField(child=serializers.CharField(), allow_null=True, help_text="Null: all groups.")
    only = serializers.CharField(
        allow_blank=True,
        help_text="The one thing that it opens, such as the list of a feed; empty: what its scopes say.",
    )
    networks = serializers.ListField(child=serializers.CharField(), help_text="Empty: from anywhere.")
    certificate_subject = serializers.CharField(allow_blank=True)
    certificate_sha256 = serializers.CharField(allow_blank=True)
    state = serializers.ChoiceField(["active", "expired", "revoked"])
    parent_id = serializers.CharField(allow_null=True, help_text="The key that made it.")
    created_by = serializers.CharField()
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()
    revoked_at = serializers.DateTimeField(allow_null=True)
    last_used_at = serializers.DateTimeField(allow_null=True)
    networks_seen = NetworkSeen(many=True, help_text="The newest first.")


class KeyList(serializers.Serializer[object]):
    """The keys of the caller's partner."""

    keys = KeyDocument(many=True)


class NewKeyDocument(KeyDocument):
    """A key that was just made."""

    secret = serializers.CharField(help_text="The key itself. Shown this once.")


class PersonDocument(serializers.Serializer[object]):
    """A person of the caller's partner."""

    id = serializers.IntegerField()
    username = serializers.CharField()
    email = serializers.CharField()
    role = serializers.ChoiceField(_ROLES)
    active = serializers.BooleanField()
    passkey = serializers.BooleanField(help_text="Whether there is a passkey.")
    authenticator_app = serializers.BooleanField(help_text="Whether there is an authenticator app.")
    last_sign_in = serializers.DateTimeField(allow_null=True)


class PersonList(serializers.Serializer[object]):
    """The people of the caller's partner."""

    people = PersonDocument(many=True)


class InvitationDocument(serializers.Serializer[object]):
    """An open invitation."""

    id = serializers.UUIDField()
    email = serializers.EmailField()
    role = serializers.ChoiceField(_ROLES, help_text="It may do nothing that the caller may not.")
    created_at = serializers.DateTimeField()
    expires_at = serializers.DateTimeField()


class InvitedDocument(InvitationDocument):
    """The answer to an invitation: the only one that holds its link."""

    link = serializers.CharField()


class InvitationList(serializers.Serializer[object]):
    """The open invitations into the caller's partner."""

    invitations = InvitationDocument(many=True)
