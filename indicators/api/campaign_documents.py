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


class PartnerWord(serializers.Serializer[object]):
    """Which partner."""

    slug = serializers.CharField()
    name = serializers.CharField()


_SAYS = ["confirm", "dismiss", "one", "two"]
_BUCKET = "0, or a power of ten: 10^2."


class StatedDocument(serializers.Serializer[object]):
    """One partner's word of a campaign."""

    partner = PartnerWord()
    says = serializers.ChoiceField(_SAYS)
    reason = serializers.CharField()
    other = serializers.UUIDField(allow_null=True, help_text="With `one`: the other campaign.")
    at = serializers.DateTimeField()
    changed_since = serializers.BooleanField(help_text="Whether the campaign is told otherwise since.")


class CampaignSummary(serializers.Serializer[object]):
    """A campaign as its group was told of it."""

    id = serializers.UUIDField()
    stix_id = serializers.CharField()
    group = serializers.CharField()
    name = serializers.CharField()
    alias = serializers.CharField(allow_null=True, help_text="What your partner calls it; nobody else sees that.")
    state = serializers.ChoiceField(["live", "dismissed", "ended"])
    grade = serializers.ChoiceField(["corroborated", "on_one_labs_word"])
    accounts = serializers.CharField(help_text=_BUCKET)
    labs = serializers.ListField(child=serializers.CharField(), help_text="Of each lab in it, its accounts: 10^1.")
    kinds = serializers.ListField(child=serializers.CharField())
    first_seen = serializers.DateTimeField(help_text="To the hour.")
    last_seen = serializers.DateTimeField(help_text="To the hour.")
    indicators = serializers.ListField(child=serializers.CharField(), max_length=300)
    linked = serializers.ListField(child=serializers.CharField(), help_text="Joined with it on one lab's word.")
    into = serializers.CharField(allow_null=True, help_text="What it became a part of.")


class CampaignDocument(CampaignSummary):
    """A campaign with what partners say of it."""

    statements = StatedDocument(many=True)


class CampaignPage(serializers.Serializer[object]):
    """Campaigns, the newest first."""

    campaigns = CampaignSummary(many=True)
    next = serializers.CharField(allow_null=True)


class MemberDocument(serializers.Serializer[object]):
    """An account of one's own."""

    account = serializers.UUIDField()
    grade = serializers.ChoiceField(["corroborated", "one_labs_word"])
    since = serializers.DateTimeField()
    tokens = EvidenceTokenDocument(many=True)


class CampaignMembers(serializers.Serializer[object]):
    """Accounts of one's own."""

    members = MemberDocument(many=True)
    next = serializers.CharField(allow_null=True)


class CampaignEventDocument(serializers.Serializer[object]):
    """What became of a campaign."""

    at = serializers.DateTimeField()
    kind = serializers.ChoiceField(["created", "grew", "joined", "split", "dismissed", "taken-up", "ended"])
    other = serializers.UUIDField(allow_null=True)
    causes = serializers.ListField(
        child=serializers.CharField(), help_text="Kinds of tokens, or `evidence` that ended."
    )


class CampaignHistory(serializers.Serializer[object]):
    """All that became of it, the oldest first."""

    events = CampaignEventDocument(many=True)


class NodeDocument(serializers.Serializer[object]):
    """A node of the picture."""

    id = serializers.CharField()
    type = serializers.ChoiceField(["campaign", "lab", "kind"])
    accounts = serializers.CharField(required=False)


class CampaignGraph(serializers.Serializer[object]):
    """A picture: edges are `from`, `to`, and `accounts` in buckets or a `grade`."""

    nodes = NodeDocument(many=True)
    edges = serializers.ListField(child=serializers.DictField())
