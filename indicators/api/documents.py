"""The shapes that the OpenAPI description shows; the views write them without serializers, from stored bytes."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from exchange.stix import words
from indicators.api.requests import FilterField


def _word() -> serializers.CharField:
    return serializers.CharField(max_length=250)


class PublisherDocument(serializers.Serializer[object]):
    """Who says it."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    slug = serializers.CharField(required=False)
    suspended = serializers.BooleanField(required=False, help_text="Only where it is: it publishes nothing new.")


class MarkDocument(serializers.Serializer[object]):
    """What STIX 2.1 says is wrong with an object that was taken all the same."""

    code = serializers.CharField()
    field = serializers.CharField(allow_blank=True, help_text="JSON pointer inside the object.")
    message = serializers.CharField(required=False)


class ResultDocument(serializers.Serializer[object]):
    """The answer to one element of a batch."""

    index = serializers.IntegerField()
    id = serializers.CharField(allow_null=True)
    version = serializers.CharField(allow_null=True)
    status = serializers.ChoiceField(["accepted", "unchanged", "withdrawn", "held", "quarantined", "refused"])
    code = serializers.CharField(required=False)
    field = serializers.CharField(required=False, help_text="JSON pointer inside the object.")
    message = serializers.CharField(required=False)
    marks = MarkDocument(many=True, required=False)
    suppressed_by = serializers.ListField(
        child=serializers.ChoiceField(["benign-listed", "benign-type", "too-broad"]),
        required=False,
        help_text="What keeps values of the object out of every list.",
    )


class CountsDocument(serializers.Serializer[object]):
    """How many objects were answered how."""

    accepted = serializers.IntegerField()
    unchanged = serializers.IntegerField()
    withdrawn = serializers.IntegerField()
    held = serializers.IntegerField()
    quarantined = serializers.IntegerField()
    refused = serializers.IntegerField()


class ReferenceDocument(serializers.Serializer[object]):
    """A reference of an object that entered, to something that is not there for the caller."""

    index = serializers.IntegerField()
    id = serializers.CharField()
    field = serializers.CharField(help_text="JSON pointer inside the object.")
    ref = serializers.CharField()


class LossReport(serializers.Serializer[object]):
    """What a batch lost on its way in."""

    counts = serializers.DictField(child=serializers.IntegerField())
    marks = serializers.DictField(child=serializers.IntegerField(), help_text="How many marks of each code.")
    reasons = serializers.DictField(child=serializers.IntegerField(), help_text="Codes of what was held back.")
    unresolved = ReferenceDocument(many=True, help_text="Neither in the batch nor among what the caller may see.")
    dangling = ReferenceDocument(many=True, help_text="To objects of the batch that were held back.")


class BatchAnswer(serializers.Serializer[object]):
    """The answer to a batch."""

    id = serializers.UUIDField()
    received = serializers.DateTimeField()
    counts = CountsDocument()
    results = ResultDocument(many=True)
    report = LossReport(required=False)


class ClaimedDocument(serializers.Serializer[object]):
    """A creator that its publisher names, and that is not the publisher as registered here: hearsay."""

    id = serializers.CharField(max_length=300)
    according_to = PublisherDocument()


class MeasuredDocument(serializers.Serializer[object]):
    """What the exchange itself measured of an object's text; the object's bytes never say it."""

    benign_hits = serializers.ChoiceField(
        words.BENIGN_HITS,
        help_text="How many of the bundled ordinary prompts it matches: none; few, that is one or two, of a phrase at"
        " most two; many, which is refused today.",
    )
    sample_size = serializers.IntegerField(min_value=1, help_text="How many prompts are bundled.")


class StatementDocument(serializers.Serializer[object]):
    """An object as its publishers say it; `object` holds the exact bytes that were published."""

    publisher = PublisherDocument()
    publishers = PublisherDocument(many=True, required=False)
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    publisher_suspended = serializers.BooleanField()
    date_added = serializers.DateTimeField()
    marks = MarkDocument(many=True, required=False)
    creator = ClaimedDocument(required=False)
    measured = MeasuredDocument(required=False)
    object = serializers.DictField()


class ObjectsPage(serializers.Serializer[object]):
    """A page of objects, newest first."""

    objects = StatementDocument(many=True)
    next = serializers.CharField(allow_null=True)


class ReaderDocument(serializers.Serializer[object]):
    """A partner that sees something, and whom it is told that it comes from."""

    name = serializers.CharField()
    slug = serializers.CharField()
    source = PublisherDocument()  # type: ignore[assignment]


class ReaderList(serializers.Serializer[object]):
    """The partners that see something, by name."""

    readers = ReaderDocument(many=True)


class Statements(serializers.Serializer[object]):
    """What is said under one id."""

    statements = StatementDocument(many=True)


class FoundDocument(Statements):
    """What is said under one of the ids."""

    id = serializers.CharField()


class LookedUp(serializers.Serializer[object]):
    """The ids of which something can be seen, in the order in which they were asked; all others are left out."""

    objects = FoundDocument(many=True)


class EntryDocument(serializers.Serializer[object]):
    """One value of a blocklist."""

    kind = serializers.CharField()
    subkind = serializers.CharField()
    scheme = serializers.CharField()
    key_epoch = serializers.CharField(allow_blank=True)
    value = serializers.CharField()


class ToldPublisherDocument(serializers.Serializer[object]):
    """Whom a change comes from, as its reader is told."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    named = serializers.BooleanField(
        help_text="Whether it is said under the publisher's name: only then it counts as an independent publisher."
    )


class ChangeDocument(serializers.Serializer[object]):
    """One change, to be applied in order."""

    op = serializers.ChoiceField(["upsert", "remove"])
    reason = serializers.CharField()
    id = serializers.CharField()
    type = serializers.CharField()
    kind = serializers.CharField(allow_null=True)
    publisher = ToldPublisherDocument()
    tlp = serializers.CharField()
    date_added = serializers.DateTimeField()
    confidence = serializers.IntegerField(allow_null=True)
    valid_from = serializers.DateTimeField(allow_null=True, help_text="Its entries are in force from then on.")
    valid_until = serializers.DateTimeField(allow_null=True, help_text="And until then.")
    entries = EntryDocument(many=True)
    object = serializers.DictField(required=False, help_text="Of an upsert: the exact bytes that were published.")


class ChangesPage(serializers.Serializer[object]):
    """A stretch of the change log; hand the cursor back to go on."""

    changes = ChangeDocument(many=True)
    cursor = serializers.CharField()
    more = serializers.BooleanField()


class ReceiptAnswer(serializers.Serializer[object]):
    """Whether the instance's set hash is the exchange's; null where that has moved on since."""

    equal = serializers.BooleanField(allow_null=True)


class SnapshotWait(serializers.Serializer[object]):
    """That a file is being made: ask again after `Retry-After`."""

    state = serializers.ChoiceField(choices=["making"])


class MatchEndDocument(serializers.Serializer[object]):
    """An object that carries a matched value, or one that overlaps it."""

    id = serializers.CharField()
    title = serializers.CharField(allow_blank=True)
    publisher = PublisherDocument()
    value = serializers.CharField(
        required=False, help_text="Where it is not the match's own: a network around or within it, another BIN range."
    )


class MatchDocument(serializers.Serializer[object]):
    """A value that objects of two or more sources carry, as the caller sees them."""

    id = serializers.UUIDField(help_text="The value's own: the same whenever it is matched.")
    basis = serializers.ChoiceField(
        ["token", "overlap"], help_text="`overlap`: no two sources carry the value; `objects` say what overlaps it."
    )
    domain = serializers.CharField(help_text="What it is compared as.")
    scheme = serializers.CharField()
    key_epoch = serializers.CharField(allow_blank=True)
    value = serializers.CharField()
    found_at = serializers.DateTimeField(help_text="When the last of its objects came to the caller.")
    objects = MatchEndDocument(many=True, help_text="Of each source some, the newest first.")


class MatchesPage(serializers.Serializer[object]):
    """A page of matches: the newest first or, with `since`, what was found after it, oldest first."""

    matches = MatchDocument(many=True)
    next = serializers.CharField(allow_null=True, help_text="The next page; null at the end. A page may be short.")
    more = serializers.BooleanField(help_text="Whether there is more to be read now.")
    since = serializers.CharField(
        allow_null=True, help_text="To be sent as `since`: for what is found from here on. Not on later pages."
    )


class HostOwnerDocument(serializers.Serializer[object]):
    """Whose a host is."""

    slug = serializers.CharField()
    name = serializers.CharField()


class ChallengeDocument(serializers.Serializer[object]):
    """The TXT record that proves a host."""

    name = serializers.CharField()
    value = serializers.CharField()


class ServiceHostDocument(serializers.Serializer[object]):
    """A host or range that a partner names as its own; how it is proven, that partner alone reads."""

    id = serializers.UUIDField()
    value = serializers.CharField()
    partner = HostOwnerDocument()
    since = serializers.DateTimeField()
    proven = serializers.BooleanField(help_text="Whether everybody's lists leave it out; else its partner's own do.")
    proven_by = serializers.CharField(
        required=False, allow_null=True, help_text="`dns`, `operator`, the slugs of partners, or `before`."
    )
    confirmed_by = serializers.CharField(
        required=False, allow_null=True, help_text="The partner that confirmed a range first; a second one proves it."
    )
    challenge = ChallengeDocument(required=False, allow_null=True)
    asked_at = serializers.DateTimeField(
        required=False, allow_null=True, help_text="When its DNS did not show the challenge, last."
    )


class ServiceHostList(serializers.Serializer[object]):
    """Hosts and ranges of all partners."""

    hosts = ServiceHostDocument(many=True)


class HeardDocument(serializers.Serializer[object]):
    """An opinion as it is read."""

    partner = PublisherDocument()
    opinion = serializers.CharField()
    reason = serializers.CharField(allow_blank=True)
    id = serializers.CharField(help_text="Of the STIX opinion.")
    modified = serializers.DateTimeField()
    waits = serializers.BooleanField(help_text="Your own, beyond the day's cap: a second person confirms it.")


class JudgedDocument(serializers.Serializer[object]):
    """A publisher's object and how it stands."""

    publisher = PublisherDocument()
    standing = serializers.ChoiceField(["unreviewed", "supported", "disputed", "refuted"])
    opinions = HeardDocument(many=True)


class JudgedList(serializers.Serializer[object]):
    """The objects under an id."""

    judged = JudgedDocument(many=True)


class GivenDocument(JudgedList):
    """The same after an opinion was given, and what became of that."""

    status = serializers.ChoiceField(["accepted", "unchanged", "held", "merged"])


class SightedDocument(serializers.Serializer[object]):
    """What became of a sighting."""

    status = serializers.ChoiceField(["accepted", "unchanged", "held"])


class SeenDocument(serializers.Serializer[object]):
    """A sighting."""

    partner = PublisherDocument()
    id = serializers.CharField(help_text="Of the STIX sighting.")
    count = serializers.IntegerField(allow_null=True)
    first_seen = serializers.CharField(allow_null=True)
    last_seen = serializers.CharField(allow_null=True)


class SightingList(serializers.Serializer[object]):
    """Sightings, newest first."""

    sightings = SeenDocument(many=True)


class FeedDocument(serializers.Serializer[object]):
    """A saved filter."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    filter = FilterField()
    text = serializers.CharField(allow_blank=True, help_text="The same in one line.")


class PreviewDocument(serializers.Serializer[object]):
    """Counts of living objects."""

    text = serializers.CharField(allow_blank=True, help_text="The filter in one line.")
    holds = serializers.IntegerField(help_text="At most 10,000.")
    changed_7d = serializers.IntegerField(help_text="Whose version was made within seven days.")
    covered = serializers.IntegerField(help_text="That another of your feeds holds.")
    disputed = serializers.IntegerField(help_text="That lists leave out: disputed, refuted, or dissented from by you.")
    cut = serializers.BooleanField(help_text="Whether there are more than were looked at.")


class FeedList(serializers.Serializer[object]):
    """The caller's feeds."""

    feeds = FeedDocument(many=True)


class SubscriptionDocument(serializers.Serializer[object]):
    """An address that is told of a feed's changes."""

    id = serializers.UUIDField()
    url = serializers.URLField(max_length=1000)
    feed = serializers.UUIDField(allow_null=True, required=False)
    state = serializers.ChoiceField(["active", "paused", "dead"])
    old_secret_until = serializers.DateTimeField(
        allow_null=True, help_text="Until then the secret before this one signs, too."
    )
    created_at = serializers.DateTimeField()
    format = serializers.ChoiceField(["standard", "slack", "teams"], help_text="The shape of its messages.")
    failures = serializers.IntegerField(help_text="Attempts that failed since the last message that arrived.")
    failing_since = serializers.DateTimeField(
        allow_null=True, help_text="Since when its breaker is open: it is asked less often, and replays wait."
    )


class SubscribedDocument(SubscriptionDocument):
    """The answer to a subscription's creation: the only one that holds its secret."""

    secret = serializers.CharField(help_text="Signs every message (Standard Webhooks).")


class SubscriptionList(serializers.Serializer[object]):
    """The caller's subscriptions."""

    subscriptions = SubscriptionDocument(many=True)


class DeliveryDocument(serializers.Serializer[object]):
    """One message to a subscription and how it went."""

    id = serializers.UUIDField()
    subscription = serializers.UUIDField()
    kind = serializers.ChoiceField(
        ["changes", "ping", "again", "replay", "start-over"],
        help_text="`ping`, `again` and `replay` were asked for and are tried once; `start-over` follows a restore.",
    )
    webhook_id = serializers.CharField(help_text="As the message says it; what is sent again keeps it.")
    state = serializers.ChoiceField(["due", "sending", "delivered", "dead"])
    attempts = serializers.IntegerField()
    changes = serializers.IntegerField()
    created_at = serializers.DateTimeField()
    due_at = serializers.DateTimeField()
    finished_at = serializers.DateTimeField(allow_null=True)
    status_code = serializers.IntegerField(allow_null=True)
    outcome = serializers.CharField(allow_blank=True)


class DeliveryList(serializers.Serializer[object]):
    """The newest deliveries of a subscription."""

    deliveries = DeliveryDocument(many=True)


class LetterList(serializers.Serializer[object]):
    """Messages of a subscription, the oldest first."""

    deliveries = DeliveryDocument(many=True)
    more = serializers.BooleanField(help_text="Whether there are others after them.")


class QuarantinedDocument(serializers.Serializer[object]):
    """One object of the caller's own that waits to be mended."""

    entry = serializers.UUIDField(help_text="Names it at `/quarantine/{entry}`.")
    id = serializers.CharField()
    code = serializers.CharField()
    field = serializers.CharField(allow_blank=True, help_text="JSON pointer inside the object.")
    message = serializers.CharField()
    at = serializers.DateTimeField()
    object = serializers.DictField(help_text="The exact bytes that were pushed.")


class QuarantineList(serializers.Serializer[object]):
    """What waits to be mended, newest first."""

    quarantined = QuarantinedDocument(many=True)
    next = serializers.CharField(allow_null=True)


class HeldReach(serializers.Serializer[object]):
    """The audience that a held batch named."""

    named = serializers.BooleanField(
        help_text="False for the default audience as it was when it was sent; then `everyone` is for CLEAR and GREEN."
    )
    everyone = serializers.BooleanField()
    groups = serializers.ListField(child=serializers.CharField())
    partners = serializers.ListField(child=serializers.CharField())
    tlp = serializers.CharField(allow_null=True)


class HeldDocument(serializers.Serializer[object]):
    """A batch, or the part of one, that waits for a second person."""

    id = serializers.UUIDField()
    batch = serializers.UUIDField()
    at = serializers.DateTimeField()
    actor = serializers.CharField()
    why = serializers.CharField()
    audience = HeldReach()
    objects = serializers.IntegerField(help_text="How many.")
    ids = serializers.ListField(child=serializers.CharField(), help_text="Of the first thousand.")


class HeldList(serializers.Serializer[object]):
    """What waits, oldest first."""

    held = HeldDocument(many=True)


class DetectorDocument(serializers.Serializer[object]):
    """A detector of the caller's partner."""

    id = serializers.CharField(help_text="What `detector.name` of an indicator says.")
    name = serializers.CharField()
    version = serializers.CharField(allow_null=True)
    sha256 = serializers.CharField(allow_null=True)
    registered_at = serializers.DateTimeField()
    retired_at = serializers.DateTimeField(allow_null=True)


class DetectorList(serializers.Serializer[object]):
    """By name, retired ones last."""

    detectors = DetectorDocument(many=True)


class ExcerptDocument(serializers.Serializer[object]):
    """An excerpt, without its text."""

    id = serializers.UUIDField()
    excerpt_id = serializers.CharField(help_text="As it was sent.")
    indicator_ref = serializers.CharField()
    state = serializers.ChoiceField(["waiting", "shown"])
    at = serializers.DateTimeField()
    valid_until = serializers.DateTimeField(help_text="Then nothing of it is kept.")


class ExcerptList(serializers.Serializer[object]):
    """Of the caller's partner, oldest first."""

    excerpts = ExcerptDocument(many=True)


class DisarmedDocument(serializers.Serializer[object]):
    """What one call recalled, or revoked or withdrew in bulk, while it can come back."""

    id = serializers.UUIDField()
    ended_by = serializers.ChoiceField(["flood", "recall", "revoke", "withdraw"])
    at = serializers.DateTimeField()
    until = serializers.DateTimeField(
        allow_null=True, help_text="From then on it is final, if nobody has decided before; null: never by itself."
    )
    actor = serializers.CharField()
    objects = serializers.IntegerField(help_text="How many.")
    ids = serializers.ListField(child=serializers.CharField(), help_text="Of the first thousand.")


class DisarmedList(serializers.Serializer[object]):
    """What can come back, oldest first."""

    disarmed = DisarmedDocument(many=True)


class UndoneDocument(serializers.Serializer[object]):
    """One act that is undone."""

    id = serializers.UUIDField()
    brought_back = serializers.IntegerField()
    ended = serializers.IntegerField(
        help_text="Stay ended: they may not go any more where they were, or were ended since."
    )


class UndoneList(serializers.Serializer[object]):
    """What was undone."""

    undone = UndoneDocument(many=True)


class EventDocument(serializers.Serializer[object]):
    """One event of the stream, by its fields; lines that begin with a colon only show that it lives."""

    event = serializers.ChoiceField(["open", "change", "end"])
    id = serializers.CharField(required=False, help_text="The cursor after the event; send it as Last-Event-ID.")
    retry = serializers.IntegerField(required=False, help_text="Milliseconds to wait before opening it again.")
    data = serializers.CharField(  # type: ignore[assignment]  # DRF takes fields out of the class
        help_text="JSON: for `change`, `feed`, `urgent`, `changes` and `more` as a webhook tells them."
    )


class ReportDocument(serializers.Serializer[object]):
    """A report package that was released to the caller's partner."""

    id = serializers.UUIDField()
    title = serializers.CharField()
    root = serializers.CharField(help_text="The STIX id that it begins with.")  # type: ignore[assignment]
    tlp = serializers.ChoiceField(["clear", "green", "amber", "amber+strict", "red"])
    objects = serializers.IntegerField()
    released_at = serializers.DateTimeField()
    bundle_sha256 = serializers.CharField()

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is a word of Python's."""
        return {"from": PublisherDocument(), **super().get_fields()}


class ReportList(serializers.Serializer[object]):
    """Report packages, newest first."""

    reports = ReportDocument(many=True)
