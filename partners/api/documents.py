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


_SCOPES = ["admin", "publish", "react", "read", "subscribe"]


class KeyWish(serializers.Serializer[object]):
    """A key to be made. What it leaves out, it has from the key that makes it."""

    name = serializers.CharField(max_length=80)
    scopes = serializers.ListField(child=serializers.ChoiceField(_SCOPES))
    expires_in_minutes = serializers.IntegerField(required=False, min_value=1, max_value=527_040)
    groups = serializers.ListField(child=serializers.CharField(), required=False, help_text="Slugs; none: all groups.")
    networks = serializers.ListField(child=serializers.CharField(), required=False, help_text="CIDR; none: anywhere.")
    certificate_subject = serializers.CharField(required=False, allow_blank=True, max_length=400)
    certificate_sha256 = serializers.CharField(required=False, allow_blank=True, max_length=95)


class RotationWish(serializers.Serializer[object]):
    """How long the old key lives on."""

    overlap_minutes = serializers.IntegerField(required=False, min_value=0, max_value=43_200)


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
