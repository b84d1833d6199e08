"""The shapes of evidence, prevalence and campaigns in the OpenAPI description."""

from __future__ import annotations

from typing import Any

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
    tokens = serializers.IntegerField(help_text="Different ones that its evidence carries.")
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


class OwnDocument(serializers.Serializer[object]):
    """Your own accounts in it: exact."""

    accounts = serializers.IntegerField()
    on_one_labs_word = serializers.IntegerField()
    did = serializers.DictField(child=serializers.IntegerField(), help_text="How many by what you did.")


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
    yours = OwnDocument()


class CampaignPage(serializers.Serializer[object]):
    """Campaigns, the newest first."""

    campaigns = CampaignSummary(many=True)
    next = serializers.CharField(allow_null=True)


class SharedTokenDocument(EvidenceTokenDocument):
    """A token that accounts of other labs in the campaign carry, too."""

    node = serializers.CharField(help_text="Its id in the picture.")


class OwnAccountDocument(serializers.Serializer[object]):
    """An account of one's own."""

    account = serializers.UUIDField()
    grade = serializers.ChoiceField(["corroborated", "one_labs_word"])
    since = serializers.DateTimeField()
    publisher_action = serializers.ChoiceField(["observed", "limited", "challenged", "suspended"])
    tokens = SharedTokenDocument(many=True)


class OwnAccounts(serializers.Serializer[object]):
    """Accounts of one's own."""

    accounts = OwnAccountDocument(many=True)
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


_GRADES = ["corroborated", "on_one_labs_word"]


class NodeDocument(serializers.Serializer[object]):
    """A node of the picture. Which properties it has depends on its type; `own` is always there."""

    id = serializers.CharField(help_text="Of labs and tokens: drawn for this campaign, and the same tomorrow.")
    type = serializers.ChoiceField(["campaign", "lab", "token", "tokens", "account"])
    own = serializers.BooleanField(help_text="Your lane; a token that your accounts carry; your account.")
    name = serializers.CharField(required=False, help_text="Of the campaign itself.")
    grade = serializers.ChoiceField(_GRADES, required=False)
    kind = serializers.CharField(required=False, help_text="Of tokens: account-pattern, …")
    subkind = serializers.CharField(required=False, help_text="Of tokens.")
    labs = serializers.IntegerField(required=False, help_text="How many labs' accounts in the campaign carry it.")
    accounts = serializers.CharField(required=False, help_text=_BUCKET)
    tokens = serializers.CharField(required=False, help_text=f"Of `tokens`, not shown one by one: how many. {_BUCKET}")
    purity = serializers.FloatField(
        required=False, allow_null=True, help_text="Suspects among holders, in tenths, where three labs answered."
    )
    token = EvidenceTokenDocument(required=False, help_text="Of a token that your own accounts carry.")
    did = serializers.JSONField(required=False, help_text="Of a lab: accounts by what it did. Of an account: which.")
    on_one_labs_word = serializers.CharField(required=False, help_text=f"Of a lab, so many of its accounts. {_BUCKET}")
    first_seen = serializers.DateTimeField(required=False, help_text="Of a lab, to the hour.")
    marks = serializers.IntegerField(required=False, help_text="Of a lab: how many dots stand for its accounts.")
    own_accounts = serializers.IntegerField(required=False, help_text="Of your lane: exact.")
    own_did = serializers.DictField(child=serializers.IntegerField(), required=False)
    account = serializers.UUIDField(required=False, help_text="Your pseudonym.")
    lab = serializers.CharField(required=False, help_text="Of an account: its lane.")


class EdgeDocument(serializers.Serializer[object]):
    """From a lab or an account to a token, or from the campaign to one that one lab's word joins with it."""

    to = serializers.CharField()
    accounts = serializers.CharField(required=False, help_text=_BUCKET)
    grade = serializers.ChoiceField(_GRADES)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """With `from`, which Python does not take for a name."""
        return {"from": serializers.CharField(), **super().get_fields()}


class ReasonDocument(serializers.Serializer[object]):
    """Why accounts are together, by subkind of what they share; corroborated first."""

    subkind = serializers.CharField()
    kind = serializers.CharField()
    grade = serializers.ChoiceField(_GRADES)
    tokens = serializers.CharField(help_text=_BUCKET)
    accounts = serializers.CharField(help_text=f"On how many the most shared is. {_BUCKET}")
    labs = serializers.IntegerField()
    lanes = serializers.ListField(child=serializers.CharField())
    purity = serializers.FloatField(allow_null=True)
    sentence = serializers.CharField()


class LaneDocument(serializers.Serializer[object]):
    """Of one lab, the accounts first seen in each step."""

    lab = serializers.CharField()
    seen = serializers.ListField(child=serializers.CharField())


class TimelineDocument(serializers.Serializer[object]):
    """Accounts first seen: by the hour for two days, then by the day."""

    grain = serializers.ChoiceField(["hour", "day"])
    steps = serializers.ListField(child=serializers.DateTimeField())
    lanes = LaneDocument(many=True)
    growth = serializers.ListField(child=serializers.CharField(), help_text="How many there were at each step's end.")


class LeftOutDocument(serializers.Serializer[object]):
    """What the picture does not show one by one."""

    tokens = serializers.CharField(help_text=_BUCKET)
    labs = serializers.IntegerField()
    own_accounts = serializers.IntegerField(required=False, help_text="Of yours: exact.")


class CampaignGraph(serializers.Serializer[object]):
    """A picture, at most 300 nodes and marks."""

    as_of = serializers.DateTimeField(help_text="To the hour.")
    nodes = NodeDocument(many=True)
    edges = EdgeDocument(many=True)
    reasons = ReasonDocument(many=True)
    timeline = TimelineDocument()
    left_out = LeftOutDocument()


class ElsewhereDocument(serializers.Serializer[object]):
    """A campaign of another group of yours, of which your accounts in this one carry tokens, too."""

    id = serializers.UUIDField()
    group = serializers.CharField()
    name = serializers.CharField()
    own_tokens = serializers.IntegerField(
        help_text="Cards, devices and mailboxes that accounts of yours carry in both."
    )


class CampaignDocument(CampaignSummary):
    """A campaign with its reasons, and with what partners say of it."""

    reasons = ReasonDocument(many=True)
    elsewhere = ElsewhereDocument(many=True)
    elsewhere_left_out = serializers.IntegerField(help_text="How many more there are than these 20, which hold most.")
    statements = StatedDocument(many=True)
