"""What concerns a partner, newest first: opinions on its own, matches with them, campaigns, recalls, its own systems.

The one place that knows it: `GET /inbox` and digests tell these items, and the portal's home draws what it says of
opinions and of systems from the same reads. Nothing is stored: each kind is read from where it stands, under the rule
of who is looking, so what they may not see any more is gone from here, too. Counts, ids and words of the vocabulary
alone; content is behind the ids.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from django.contrib.postgres.expressions import ArraySubquery
from django.db.models import OuterRef, QuerySet

from exchange.sql import ask
from indicators import matching
from indicators.campaigns.tables import Campaign, CampaignEvent
from indicators.feeds import health
from indicators.log import walking
from indicators.models import Connection, Delivery, Holding, Opinion, ReportSchedule, Subscription
from indicators.opinions import appealing
from indicators.opinions.counting import counts
from partners.scopes import Scope
from partners.viewer import Viewer

KINDS = ("agent", "appeal", "campaign", "connection", "endpoint", "match", "opinion", "recall", "report-schedule")
MOST = 100
_MOST_EVENTS = 50


@dataclass(frozen=True, slots=True)
class Item:
    """One thing that happened, as plain values.

    `kind` is one of KINDS, `about` the STIX id that it is about (of an opinion, an appeal and a match, the partner's
    own object; of a campaign, the campaign; of a recall, what is not to be used any more), the name of an agent, of a
    connection or of a schedule of reports, or the id of a subscription. `says`: of an opinion its reason or `confirms`
    or `dissents`, of an appeal its reason, of a match what is equal (a subkind), of a campaign its name, of a recall
    nothing, of an agent `differs`, `lags` or `silent`, of an endpoint `failing` or `given-up`, of a connection
    `failing`, of a schedule `ended`. `by` is the name of the other partner as the viewer is shown it, empty where none
    is. `did` is, of a campaign, what became of it since, of the kinds of its history; empty where it only changed.
    """

    kind: str
    at: datetime
    about: str
    says: str = ""
    by: str = ""
    did: tuple[str, ...] = ()


def inbox(viewer: Viewer, *, since: datetime, limit: int = 20) -> list[Item]:
    """What happened after a moment, newest first, at most `limit` (of each kind as many are read). Twelve queries.

    `limit` is at most MOST. What a person has seen is theirs to keep: they ask from there on.
    """
    found = [
        *_opinions(viewer, since, limit),
        *_matches(viewer, since, limit),
        *_campaigns(viewer, since, limit),
        *_recalls(viewer, since, limit),
        *_appeals(viewer, since),
        *_agents(viewer, since),
        *_endpoints(viewer, since, limit),
        *_connections(viewer, since, limit),
        *_schedules(viewer, since, limit),
    ]
    return sorted(found, key=lambda item: (item.at, item.kind, item.about), reverse=True)[:limit]


def opinions(viewer: Viewer, *, since: datetime) -> QuerySet[Opinion]:
    """What others say of the viewer's own objects since a moment, newest first."""
    return (
        Opinion.objects.visible_to(viewer)
        .filter(holding__publisher=viewer.partner_id, at__gt=since)
        .exclude(partner=viewer.partner_id)
        .select_related("holding", "partner")
        .order_by("-at", "-pk")
    )


def dissents(viewer: Viewer, *, since: datetime) -> QuerySet[Opinion]:
    """Of these, what counts against one that is in force: the opinions of `Standing`."""
    return opinions(viewer, since=since).filter(
        counts(), holding__state=Holding.State.LIVE, says__lt=0, said_by__state=Holding.State.LIVE
    )


def confirmations(viewer: Viewer, *, since: datetime) -> QuerySet[Opinion]:
    """Of these, what confirms one that is in force."""
    return opinions(viewer, since=since).filter(
        counts(), holding__state=Holding.State.LIVE, says__gt=0, said_by__state=Holding.State.LIVE
    )


def _opinions(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    for one in opinions(viewer, since=since)[:limit]:
        said = one.reason or ("confirms" if one.says > 0 else "dissents" if one.says < 0 else "")
        yield Item("opinion", one.at, one.holding.stix_id, said, one.partner.name)


def _matches(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    """Those of the newest that one's own object is in: a match with it stands where its last object does."""
    for match in matching.newest(viewer, limit=limit).matches:
        own = [side for side in match.sides if side.source.id == viewer.partner_id]
        others = [side.source.name for side in match.sides if side.source.id != viewer.partner_id]
        if own and others and match.found_at > since:
            yield Item("match", match.found_at, own[0].ends[0].stix_id, match.domain, others[0])


def _campaigns(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    """Those that one's accounts are in, when they were told last, and what became of them by then."""
    became = CampaignEvent.objects.filter(campaign=OuterRef("pk"), at__gt=since, at__lte=OuterRef("told_at"))
    found = (
        Campaign.objects.filter(group__in=viewer.group_ids, told_at__gt=since, labs__has_key=str(viewer.partner_id))
        .exclude(told={})
        .annotate(became=ArraySubquery(became.order_by("at", "pk").values("kind")[:_MOST_EVENTS]))
        .order_by("-told_at", "-pk")[:limit]
    )
    for one in found:
        if one.told_at is not None:
            yield Item(
                "campaign", one.told_at, f"campaign--{one.pk}", one.told["name"], did=tuple(dict.fromkeys(one.became))
            )


def _recalls(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    asked = walking.of(viewer) | {"after": since, "limit": limit}
    for at, stix_id in ask(_RECALLED, asked, settings=walking.IN_ORDER):
        yield Item("recall", at, stix_id)


# A row for each recall that the viewer's open channels told of after a moment, newest first; others' alone. Walks
# `change_that_removes`.
_RECALLED = f"""
WITH {walking.OPEN}, {walking.past("%(after)s::timestamptz")}
SELECT max(told.date_added) AS at, h.stix_id
FROM mine CROSS JOIN past CROSS JOIN LATERAL (
    SELECT c.date_added, c.holding_id FROM indicators_change c
    WHERE c.channel = mine.channel AND c.op = 'remove' AND c.reason = 'recalled'
      AND c.seq > greatest(mine.since, past.seq)
    ORDER BY c.seq DESC LIMIT %(limit)s
) told
JOIN indicators_holding h ON h.id = told.holding_id AND h.publisher_id <> %(viewer)s
GROUP BY h.stix_id ORDER BY at DESC LIMIT %(limit)s
"""


def _appeals(viewer: Viewer, since: datetime) -> Iterator[Item]:
    """Open ones on one's own, for who may answer them."""
    if Scope.PUBLISH not in viewer.scopes or viewer.limited:
        return
    for ticket in appealing.received(viewer):
        if (filed_at := ticket.due_at - appealing.CLOCK) > since:
            yield Item("appeal", filed_at, ticket.stix_id, ticket.reason)


def _agents(viewer: Viewer, since: datetime) -> Iterator[Item]:
    """Those of one's own agents that hold another set than their feed, stay behind it, or say nothing any more."""
    for one in health.instances(viewer):
        at = one.at
        if one.state == "silent":
            at += health.SILENT
        elif one.behind_too_long and one.behind_since is not None:
            at = one.behind_since + health.BEHIND
        elif one.state != "differs":
            continue
        if at > since:
            yield Item("agent", at, one.name, one.state)


def failing(viewer: Viewer) -> QuerySet[Subscription]:
    """Subscriptions of one's own whose endpoint fails again and again, the last one first."""
    active = Subscription.objects.of(viewer).filter(state=Subscription.State.ACTIVE)
    return active.exclude(opened_at=None).order_by("-opened_at", "pk")


def _endpoints(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    """For who may read subscriptions: such as fail, and such as were given up."""
    if Scope.SUBSCRIBE not in viewer.scopes or viewer.limited:
        return
    for one in failing(viewer).filter(opened_at__gt=since)[:limit]:
        if one.opened_at is not None:
            yield Item("endpoint", one.opened_at, str(one.pk), "failing")
    dead = Delivery.objects.of(viewer).filter(state=Delivery.State.DEAD, subscription__state=Subscription.State.DEAD)
    own = dead.filter(kind__in=(Delivery.Kind.CHANGES, Delivery.Kind.START_OVER), finished_at__gt=since)
    for pk, at in own.order_by("-finished_at", "pk").values_list("subscription", "finished_at")[:limit]:
        if at is not None:
            yield Item("endpoint", at, str(pk), "given-up")


def broken(viewer: Viewer) -> QuerySet[Connection]:
    """Connections of one's own to servers of others that fail, the last one first."""
    active = Connection.objects.of(viewer).filter(state=Connection.State.ACTIVE)
    return active.exclude(failing_since=None).order_by("-failing_since", "pk")


def _connections(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    """For who may see to them."""
    if Scope.ADMIN not in viewer.scopes or viewer.limited:
        return
    for one in broken(viewer).filter(failing_since__gt=since)[:limit]:
        if one.failing_since is not None:
            yield Item("connection", one.failing_since, one.name, "failing")


def _schedules(viewer: Viewer, since: datetime, limit: int) -> Iterator[Item]:
    """Schedules of reports that ended by themselves, for who may make another."""
    if not viewer.scopes & {Scope.AUDIT, Scope.PUBLISH} or viewer.limited:
        return
    ended = ReportSchedule.objects.of(viewer).filter(gave_up_at__gt=since).order_by("-gave_up_at", "pk")
    for name, at in ended.values_list("name", "gave_up_at")[:limit]:
        if at is not None:
            yield Item("report-schedule", at, name, "ended")
