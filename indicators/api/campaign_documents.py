"""The shapes of evidence, prevalence and campaigns in the OpenAPI description."""

from __future__ import annotations

from rest_framework import serializers


class EvidenceTokenDocument(serializers.Serializer[object]):
    """A token of evidence."""

    subkind = serializers.CharField()
    scheme = serializers.ChoiceField(["hmac-sha256", "oprf-ristretto255-sha512"])
    key_epoch = serializers.CharField()
    value = serializers.RegexField("^[0-9a-f]{64}$")
    psp_scope = serializers.CharField(required=False, help_text="Of psp_fp: equal only within one scope.")
    wide = serializers.BooleanField(required=False, help_text="Of net: a network, not one address.")


class TakenDocument(serializers.Serializer[object]):
    """What a call of evidence did."""

    round = serializers.IntegerField()
    accounts = serializers.IntegerField()
    changed = serializers.IntegerField()
    unchanged = serializers.IntegerField()


class FinishedDocument(serializers.Serializer[object]):
    """What is there of the lab's own."""

    round = serializers.IntegerField()
    accounts = serializers.IntegerField()
    tokens = serializers.IntegerField()


class QuotasDocument(serializers.Serializer[object]):
    """What a lab may send into one group."""

    accounts = serializers.IntegerField()
    lines_a_day = serializers.IntegerField()
    answers_a_day = serializers.IntegerField()


class EvidenceState(FinishedDocument):
    """How far a lab is with a group."""

    interval_s = serializers.IntegerField(help_text="A told number changes at most once in so many seconds.")
    last_sent_at = serializers.DateTimeField(allow_null=True)
    quotas = QuotasDocument()


class AskedPage(serializers.Serializer[object]):
    """What is asked about, or no more, in order."""

    asked = EvidenceTokenDocument(many=True)
    ended = EvidenceTokenDocument(many=True)
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class AnsweredDocument(serializers.Serializer[object]):
    """What a call of answers did."""

    answers = serializers.IntegerField()
    changed = serializers.IntegerField()
    not_asked = serializers.IntegerField(help_text="About tokens that nobody asks about: ignored.")


class SumDocument(serializers.Serializer[object]):
    """Sums over the other labs, rounded down to powers of two; `…_less` without the one with most suspects."""

    token = EvidenceTokenDocument()
    holders = serializers.IntegerField()
    suspects = serializers.IntegerField()
    holders_less = serializers.IntegerField()
    suspects_less = serializers.IntegerField()


class SumsPage(serializers.Serializer[object]):
    """What a lab is told, in order."""

    sums = SumDocument(many=True)
    one_labs_word = EvidenceTokenDocument(many=True)
    ended = EvidenceTokenDocument(many=True)
    cursor = serializers.CharField()
    more = serializers.BooleanField()
