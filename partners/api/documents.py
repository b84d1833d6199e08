"""The shapes of answers about who, for the API's description."""

from __future__ import annotations

from rest_framework import serializers

_KINDS = ["lab", "operator", "recipient"]
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
    takes_new = serializers.BooleanField(help_text="Whether something can be published into it today.")
    partners = serializers.ListField(child=serializers.CharField(), help_text="Slugs of its present members.")


class NewGroup(serializers.Serializer[object]):
    """A group to be made; its short name is chosen by the exchange."""

    name = serializers.CharField(max_length=120)
    purpose = serializers.CharField(max_length=2000)
    policy = serializers.ChoiceField(["closed-facts", "open-cti"], required=False)
    join_rule = serializers.ChoiceField(["any-admin", "all-partners"], required=False)
    legal_basis = serializers.CharField(max_length=2000)
    basis_reference = serializers.CharField(max_length=300, required=False)
    basis_from = serializers.DateField()
    basis_until = serializers.DateField(allow_null=True, required=False)


class NewBasis(serializers.Serializer[object]):
    """A basis to be agreed on."""

    legal_basis = serializers.CharField(max_length=2000)
    basis_reference = serializers.CharField(max_length=300, required=False)
    basis_from = serializers.DateField()
    basis_until = serializers.DateField(allow_null=True, required=False)


class PartnerName(serializers.Serializer[object]):
    """A partner by its slug."""

    partner = serializers.CharField(max_length=60)


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


class RoleCeilings(serializers.Serializer[object]):
    """A ceiling for each role that publishes."""

    admin = CeilingDocument(required=False)
    publisher = CeilingDocument(required=False)


class SettingsDocument(serializers.Serializer[object]):
    """What an admin sets; what is left out stays as it is."""

    default_tlp = serializers.ChoiceField(_TLP, required=False)
    ceiling = CeilingDocument(required=False)
    role_ceilings = RoleCeilings(required=False)
    four_eyes = FourEyesDocument(required=False)


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
    ceiling = CeilingDocument()
    operator_ceiling = CeilingDocument()
    role_ceilings = RoleCeilings()
    four_eyes = FourEyesDocument()
    notices = NoticeDocument(many=True)


class GroupList(serializers.Serializer[object]):
    """The caller's own groups."""

    groups = GroupDocument(many=True)
