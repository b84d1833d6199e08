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
    legal_basis = serializers.CharField(allow_blank=True)
    basis_from = serializers.DateField()
    basis_until = serializers.DateField(allow_null=True)
    partners = serializers.ListField(child=serializers.CharField(), help_text="Slugs of its present members.")


class GroupList(serializers.Serializer[object]):
    """The caller's own groups."""

    groups = GroupDocument(many=True)


class HeadDocument(serializers.Serializer[object]):
    """A signed tree head."""

    size = serializers.IntegerField(help_text="How many records it covers.")
    root = serializers.CharField(help_text="Root hash, hex.")  # type: ignore[assignment]
    at = serializers.DateTimeField()
    key = serializers.CharField(help_text="Which key signed.")
    signature = serializers.CharField(help_text="Ed25519 over the text that exchange/docs/log.md gives, base64.")


class LogKeyDocument(serializers.Serializer[object]):
    """A public key of the log."""

    id = serializers.CharField(help_text="The first 16 hex digits of its SHA-256.")
    public_key = serializers.CharField(help_text="32 bytes, base64.")
    since = serializers.DateTimeField()


class LogKeys(serializers.Serializer[object]):
    """The public keys of the log, oldest first."""

    keys = LogKeyDocument(many=True)


class ConsistencyProof(serializers.Serializer[object]):
    """That one head extends another (RFC 9162 §2.1.4)."""

    first = serializers.IntegerField()
    second = serializers.IntegerField()
    proof = serializers.ListField(child=serializers.CharField(), help_text="Hashes, hex.")


class HeadAnswer(serializers.Serializer[object]):
    """The last head, with what it takes to check it."""

    head = HeadDocument()
    keys = LogKeyDocument(many=True)
    consistency = ConsistencyProof(allow_null=True)


class InclusionProof(serializers.Serializer[object]):
    """That a record is under a head (RFC 9162 §2.1.3)."""

    index = serializers.IntegerField()
    entry = serializers.CharField(help_text="The leaf: canonical JSON (RFC 8785), exactly as it is hashed.")
    proof = serializers.ListField(child=serializers.CharField(), help_text="Hashes, hex.")
    head = HeadDocument()


class LogRecord(serializers.Serializer[object]):
    """One record of the own partner."""

    at = serializers.DateTimeField()
    verb = serializers.CharField()
    actor = serializers.CharField()
    target = serializers.CharField()
    details = serializers.DictField()
    nonce = serializers.CharField()
    leaf = serializers.CharField(help_text="Hash of its leaf, hex.")
    index = serializers.IntegerField(allow_null=True, help_text="Its place; null until a published head covers it.")


class LogRecords(serializers.Serializer[object]):
    """A page of the own records, newest first."""

    records = LogRecord(many=True)
    next = serializers.CharField(allow_null=True)
