"""What requests about objects send: its class here describes and validates each small body (`exchange.shapes`)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from drf_spectacular.utils import extend_schema_field
from rest_framework.serializers import ListField

from exchange.lists import pages
from exchange.shapes import Address, Body, Choice, Flag, Id, Json, Measure, Moment, Number, Strict, Text, Words
from exchange.stix import words
from indicators.benign import service_hosts
from indicators.campaigns import statements
from indicators.models import Subscription
from indicators.opinions import recording
from indicators.opinions.wishing import AppealToken
from indicators.telling import replaying, subscribing
from partners.attribution import Attribution

_TLP = ["clear", "green", "amber", "amber+strict", "red"]
_MOST_NAMES = 50
_NO_ID = ("bad-id", "Not an identifier.")
_OVERLAP_HOURS = subscribing.MAX_OVERLAP // timedelta(hours=1)


class Printable(Words):
    """Strings without characters that cannot be seen."""

    def element(self, sent: str) -> str:
        """The same."""
        if not sent.isprintable():
            raise ValueError("not printable")
        return sent


class _Ids(Words):
    """UUIDs."""

    def element(self, sent: str) -> UUID:
        """The UUID."""
        return UUID(sent)


def _slugs() -> Words:
    says = f"At most {_MOST_NAMES} slugs."
    return Printable(required=False, code="bad-audience", says=says, max_length=_MOST_NAMES, chars=60)


def _format() -> Choice:
    says = "One of standard, slack and teams."
    return Choice(Subscription.Format.values, required=False, code="bad-format", says=says)


def _only() -> Choice:
    """Null is all of the feed."""
    return Choice(["yours"], required=False, allow_null=True, code="bad-only", says="yours, or null for all of it.")


def _count() -> Number:
    return Number(required=False, code="bad-receipt", says="A number from 0 on.", min_value=0, max_value=2**53 - 1)


class AudienceWish(Body):
    """Who may see an object: every partner, or groups and partners by their slugs; and the least strict marking."""

    everyone = Flag(required=False)
    groups = _slugs()
    partners = _slugs()
    tlp = Choice(
        _TLP, required=False, allow_blank=True, code="unknown-marking", says="clear, green, amber, amber+strict or red."
    )


class PreviewWish(AudienceWish):
    """An audience that is only being thought of."""

    attribution = Choice(
        [one.word for one in Attribution],
        required=False,
        allow_blank=True,
        code="unknown-attribution",
        says="named, pseudonym or exchange.",
    )


class Lookup(Body):
    """Ids to be looked up."""

    ids = Words(code="bad-ids", says="From 1 to 200 ids.", min_length=1, max_length=200, chars=300, of_each=_NO_ID)


class EndedIds(Body):
    """Ids of objects of one's own."""

    max_bytes = 524_288

    ids = Printable(
        code="bad-ids", says="From 1 to 1,000 objects.", min_length=1, max_length=1_000, chars=300, of_each=_NO_ID
    )


class Undo(Body):
    """Which acts are undone; all, where none is named."""

    ids = _Ids(required=False, code="bad-id", says="The ids that GET /disarmed lists.", max_length=2_000)


class RecallWish(Body):
    """What is to be recalled; all that is named must be true of an object."""

    max_bytes = 1_048_576

    ids = Words(
        required=False,
        code="bad-ids",
        says="From 1 to 10,000 ids, or none of this property.",
        min_length=1,
        max_length=10_000,
        chars=300,
        of_each=("bad-ids", "From 1 to 10,000 ids."),
        at_list=True,
    )
    detector = Text(required=False, help_text="The id of a detector of yours.")
    version = Text(required=False, help_text="Of that detector, as the objects name it.")
    since = Moment(required=False, help_text="A version of it was pushed from then on,")
    until = Moment(required=False, help_text="and before then.")
    campaign = Text(required=False, help_text="The id of a campaign.")


class HostsWish(Body):
    """Hosts and ranges to make known as one's own."""

    values = Words(
        code="too-many-hosts",
        says=f"At most {service_hosts.MOST} at once.",
        missing=("bad-host", "Name at least one host or range."),
        max_length=service_hosts.MOST,
        chars=255,
        of_each=("wrong-type", "A list of strings of at most 255 characters."),
        at_list=True,
    )


class OpinionWish(Body):
    """An opinion on an object."""

    opinion = Choice(list(recording.SAYS), code="bad-opinion", says=f"One of: {', '.join(recording.SAYS)}.")
    reason = Choice(
        list(dict.fromkeys([*words.REASONS, *words.REASONS_OF_CAMPAIGNS])),
        code="bad-reason",
        says=f"One of: {', '.join(dict.fromkeys([*words.REASONS, *words.REASONS_OF_CAMPAIGNS]))}.",
        help_text="Of a campaign one of the last three.",
    )


class SightingWish(Body):
    """That the caller saw an object."""

    count = Number(
        required=False,
        code="bad-count",
        says="A whole number from 1.",
        min_value=1,
        help_text="Kept as the power of ten below.",
    )
    first_seen = Moment(required=False, help_text="Kept as a full hour.")
    last_seen = Moment(required=False)


@extend_schema_field(
    {
        "type": "object",
        "description": "What a reader wants of what it may see (feeds.md). Several members hold together; a term is"
        ' `{field: [values]}` or `{field: {">=": value}}`; `all`, `any` and `not` join filters. Empty: everything.',
        "additionalProperties": True,
        "example": {"all": [{"kind": ["payment-fingerprint"]}, {"not": {"control": ["compromised_victim"]}}]},
    }
)
class FilterField(Json):
    """A filter as JSON; `feeds.filters` reads it."""


class NewSubscription(Body):
    """An address that is to be told of a feed's changes."""

    url = Address(code="address-not-allowed", says="An address of at most 1,000 characters.", max_length=1_000)
    feed = Id(required=False)
    format = _format()
    only = _only()


class SubscriptionChange(Body):
    """What can be changed of a subscription; what is left out stays. A feed or an `only` of null is everything."""

    state = Choice(["active", "paused"], required=False, code="bad-state", says="Only active and paused can be chosen.")
    url = Address(
        required=False, code="address-not-allowed", says="An address of at most 1,000 characters.", max_length=1_000
    )
    feed = Id(required=False, allow_null=True)
    format = _format()
    only = _only()


class Replay(Body):
    """What is to be sent again: messages by their ids, or the dead letters of a time; `all`: what arrived, too."""

    deliveries = _Ids(
        required=False,
        code="bad-id",
        says="From 1 to 100 identifiers, or none of this property.",
        min_length=1,
        max_length=replaying.MOST,
        chars=36,
    )
    since = Moment(required=False)
    until = Moment(required=False)
    all = Flag(required=False)


def _hour_of_day() -> Number:
    return Number(required=False, code="bad-hour", says="An hour from 0 to 23.", min_value=0, max_value=23)


class DigestWish(Body):
    """How a person is told by e-mail. Hours are of their own clock; quiet hours have both ends, or none."""

    every = Choice(["off", "hourly", "daily"], code="bad-interval", says="One of off, hourly and daily.")
    hour = _hour_of_day()
    time_zone = Text(required=False, code="bad-time-zone", says="The name of a time zone.", max_length=64)
    quiet_from = _hour_of_day()
    quiet_until = _hour_of_day()
    feeds = _Ids(required=False, code="bad-id", says="At most 20 ids.", max_length=20, chars=36)


class SecretRotation(Body):
    """For how long the old secret goes on signing beside the new one; a day, where nothing is said."""

    overlap_hours = Number(
        required=False,
        code="bad-overlap",
        says=f"A whole number from 0 to {_OVERLAP_HOURS}.",
        min_value=0,
        max_value=_OVERLAP_HOURS,
    )


class DetectorChange(Body):
    """What is said of a detector; what is left out stays."""

    name = Text(
        required=False,
        code="bad-name",
        says="1 to 80 printable characters.",
        max_length=80,
        help_text="No other partner reads it.",
    )
    version = Text(
        required=False,
        code="bad-version",
        says="A semantic version of three numbers, such as 3.2.0.",
        help_text="A semantic version: 3.2.0.",
    )
    sha256 = Text(
        required=False,
        code="bad-digest",
        says="64 lower-case hexadecimal digits.",
        max_length=64,
        help_text="64 lower-case hexadecimal digits.",
    )


class NewDetector(DetectorChange):
    """A detector to be registered."""

    name = Text(
        code="bad-name", says="1 to 80 printable characters.", max_length=80, help_text="No other partner reads it."
    )
    id = Text(
        required=False,
        code="bad-id",
        says="d- and 8 lower-case hexadecimal digits, or nothing.",
        help_text="One that your objects name already; else a new one.",
    )


@extend_schema_field(AppealToken(many=True))
class _Tokens(Strict, ListField):
    """A list that `AppealToken` reads."""

    json_type = list

    def converted(self, data: Any) -> Any:
        """As it was sent."""
        return data


class AppealWish(Body):
    """By which tokens somebody is blocked, and why that is wrong."""

    tokens = _Tokens(code="bad-tokens", says="From 1 to 16 tokens.")
    reason = Choice(words.REASONS_AGAINST, code="bad-reason", says=f"One of: {', '.join(words.REASONS_AGAINST)}.")
    dissent = Flag(required=False, help_text="Whether to give the own opinion on what is seen, too.")


class TicketWish(Body):
    """The answer to an appeal."""

    outcome = Choice(["keep", "revoke"], code="bad-outcome", says="keep or revoke.")


class MetWish(Body):
    """What an instance's look-ups met of one object in one hour; kept as powers of ten, and told to nobody."""

    id = Text()
    hour = Moment(help_text="Its beginning, UTC; of the last two days.")
    matched = Number(required=False)
    blocked = Number(required=False)


@extend_schema_field(MetWish(many=True))
class _Met(Strict, ListField):
    """A list that `opinions.tallying` reads."""

    json_type = list

    def converted(self, data: Any) -> Any:
        """As it was sent."""
        return data


class LateWish(Body):
    """Parts of an instance, of one kind, that lack something that it fetched."""

    part = Choice(list(pages.PARTS))
    count = Number(required=False, help_text="How many of this kind; 1 by default.")
    behind_s = Number(help_text="For how many seconds the one that lacks it longest does.")


@extend_schema_field(LateWish(many=True))
class _Late(Strict, ListField):
    """A list that `feeds.receipts` reads."""

    json_type = list

    def converted(self, data: Any) -> Any:
        """As it was sent."""
        return data


class ReceiptWish(Body):
    """What an instance of a subscriber applied of a feed."""

    max_bytes = 262_144

    instance = Text(
        code="bad-receipt",
        says="A name of 1 to 64 characters.",
        max_length=64,
        help_text="A random name of the instance.",
    )
    version = Text(required=False)
    cursor = Text(required=False, help_text="Of the last page that was applied; refused where it leads nowhere.")
    set_count = Number(required=False, help_text="How many objects the instance holds.")
    set_hash = Text(required=False, help_text="Over what it holds (docs/delta.md).")
    blocked = _count()
    shadow = _count()
    suppressed = _count()
    skipped = _count()
    lag_s = Measure(required=False)
    met = _Met(required=False, help_text="At most 500.")
    late = _Late(required=False, help_text="Parts that are behind, each kind once.")


class CampaignAlias(Body):
    """A name of one's own; an empty one takes it away."""

    alias = Text(required=False, code="too-long", says="At most 120 characters.", max_length=120)


class CampaignWord(Body):
    """What one's partner says of a campaign."""

    says = Choice(list(statements.REASONS), code="bad-choice", says=f"One of: {', '.join(statements.REASONS)}.")
    reason = Text(code="bad-choice", says="One of the reasons of this word.")
    other = Id(required=False, code="bad-other", says="The id of a campaign.")
