"""The shapes of answers about the log and tokens, for the API's description."""

from __future__ import annotations

from rest_framework import serializers


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


class TokenKeyDocument(serializers.Serializer[object]):
    """The public key of one kind and epoch, and the proof that it is in the log."""

    kind = serializers.ChoiceField(["account-pattern", "payment-fingerprint", "prompt-signature"])
    epoch = serializers.CharField(help_text="A calendar quarter, UTC: `2026q4`.")
    public_key = serializers.CharField(help_text="A point of ristretto255, hex.")
    publish_from = serializers.DateTimeField(help_text="From here on new indicators carry tokens under it.")
    publish_until = serializers.DateTimeField()
    answers_until = serializers.DateTimeField(help_text="Until then it answers for look-ups.")
    entry = serializers.CharField(help_text="The leaf: canonical JSON (RFC 8785), exactly as it is hashed.")
    index = serializers.IntegerField(allow_null=True, help_text="Null until a published head covers it.")
    proof = serializers.ListField(child=serializers.CharField(), help_text="Hashes, hex (RFC 9162 §2.1.3).")


class TokenKeyList(serializers.Serializer[object]):
    """The public keys of the key service, under the last head of the log."""

    keys = TokenKeyDocument(many=True)
    head = HeadDocument(allow_null=True)
    log_keys = LogKeyDocument(many=True)


class Evaluation(serializers.Serializer[object]):
    """The products, in order, and one proof for all."""

    points = serializers.ListField(child=serializers.CharField())
    proof = serializers.CharField(help_text="64 bytes, base64.")


class GroupKeyDocument(serializers.Serializer[object]):
    """A key under which members of a group make tokens."""

    epoch = serializers.CharField(help_text="`<group>-2026q4-<n>`.")
    key = serializers.CharField(help_text="32 bytes, base64.")
    publishes = serializers.BooleanField(help_text="Whether new indicators carry a token under it now.")
    publish_until = serializers.DateTimeField()
    answers_until = serializers.DateTimeField()


class GroupKeyList(serializers.Serializer[object]):
    """The keys of a group, oldest first."""

    keys = GroupKeyDocument(many=True)
