"""The shapes of answers about who, for the API's description."""

from __future__ import annotations

from rest_framework import serializers

_KINDS = ["lab", "operator", "recipient"]
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
    legal_basis = serializers.CharField(allow_blank=True)
    basis_from = serializers.DateField()
    basis_until = serializers.DateField(allow_null=True)
    partners = serializers.ListField(child=serializers.CharField(), help_text="Slugs of its present members.")


class GroupList(serializers.Serializer[object]):
    """The caller's own groups."""

    groups = GroupDocument(many=True)


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


class PersonChange(serializers.Serializer[object]):
    """What can be changed of a person."""

    role = serializers.ChoiceField(_ROLES, required=False)
    active = serializers.BooleanField(required=False)


class InvitationDocument(serializers.Serializer[object]):
    """An open invitation."""

    id = serializers.UUIDField(read_only=True)
    email = serializers.EmailField()
    role = serializers.ChoiceField(_ROLES, help_text="It may do nothing that the caller may not.")
    created_at = serializers.DateTimeField(read_only=True)
    expires_at = serializers.DateTimeField(read_only=True)


class InvitedDocument(InvitationDocument):
    """The answer to an invitation: the only one that holds its link."""

    link = serializers.CharField(read_only=True)


class InvitationList(serializers.Serializer[object]):
    """The open invitations into the caller's partner."""

    invitations = InvitationDocument(many=True)
