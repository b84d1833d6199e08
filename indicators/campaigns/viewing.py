"""Read campaigns: those of the viewer's groups, as they were told, in buckets; of accounts, one's own alone.

What is shown of a campaign is what was told to its group (`Campaign.told`), never what the exchange counts meanwhile.
"""

from __future__ import annotations

import copy
from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from django.db.models import Q, QuerySet, TextField
from django.db.models.functions import Cast

from indicators.campaigns import overlapping, picturing, statements
from indicators.campaigns.joining import Grade
from indicators.campaigns.objects import hour
from indicators.campaigns.queueing import rows
from indicators.campaigns.tables import Campaign, CampaignAlias, CampaignEvent
from partners.models import Group
from partners.viewer import Viewer

_TOKENS_SHOWN = 8
MOST_EVENTS = 500
_MOST_NAMES = 200
#: So many digits of an id, at least, are taken for its beginning.
_DIGITS = 8
#: Follow from what partners say by name; everything else shows when the group is told.
_SAID_BY_PEOPLE = (CampaignEvent.Kind.DISMISSED, CampaignEvent.Kind.TAKEN_UP)


def page(viewer: Viewer, *, after: tuple[str, str] | None, limit: int, ended: bool) -> list[Campaign]:
    """The campaigns of the viewer's groups, the newest first. Two queries with `documents`."""
    found = Campaign.objects.filter(group__in=viewer.group_ids).exclude(told={})
    if not ended:
        found = found.filter(state=Campaign.State.LIVE, dismissed=False)
    if after is not None:
        created, pk = datetime.fromisoformat(after[0]), UUID(after[1])
        found = found.filter(created_at__lte=created).exclude(created_at=created, pk__gte=pk)
    return list(found.order_by("-created_at", "-pk")[:limit])


def touching(viewer: Viewer, *, limit: int) -> list[Campaign]:
    """The living campaigns that accounts of the viewer's partner are in, what was told last first. One query."""
    found = _living(viewer).filter(labs__has_key=str(viewer.partner_id))
    return list(found.order_by("-told_at", "-created_at", "-pk")[:limit])


def begun_without(viewer: Viewer, *, since: datetime, most: int) -> int:
    """How many living campaigns of the viewer's groups began since without accounts of its partner, up to so many."""
    others = _living(viewer).filter(created_at__gt=since).exclude(labs__has_key=str(viewer.partner_id))
    return others[:most].count()


def _living(viewer: Viewer) -> QuerySet[Campaign]:
    told = Campaign.objects.filter(group__in=viewer.group_ids).exclude(told={})
    return told.filter(state=Campaign.State.LIVE, dismissed=False)


def documents(viewer: Viewer, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    """Campaigns as they are shown. Three queries."""
    ids = [one.pk for one in found]
    aliases = dict(
        CampaignAlias.objects.filter(campaign__in=ids, partner=viewer.partner_id).values_list("campaign", "alias")
    )
    slugs = dict(Group.objects.filter(pk__in={one.group_id for one in found}).values_list("pk", "slug"))
    own = _own_counts(viewer, ids)
    return [_document(one, slugs[one.group_id], aliases.get(one.pk), own[one.pk]) for one in found]


def _own_counts(viewer: Viewer, campaigns: Sequence[UUID]) -> dict[UUID, dict[str, Any]]:
    """By campaign, the viewer's own accounts in it: exact, for they are its own."""
    found: dict[UUID, dict[str, Any]] = {one: {"accounts": 0, "on_one_labs_word": 0, "did": {}} for one in campaigns}
    counted = rows(_OWN, campaigns=list(campaigns), partner=viewer.partner_id)
    for campaign, action, count, on_word in counted:
        own = found[campaign]
        own["accounts"] += count
        own["on_one_labs_word"] += on_word
        own["did"][action] = count
    return found


# A row for each campaign and thing that the partner did to accounts of its own there, by `placed_by_campaign`.
_OWN = """
SELECT p.campaign, s.publisher_action, count(*), count(*) FILTER (WHERE p.grade <> 'corroborated')
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = ANY(%(campaigns)s) AND p.partner_id = %(partner)s
GROUP BY p.campaign, s.publisher_action ORDER BY 1, 2
"""


def _document(one: Campaign, group: str, alias: str | None, own: dict[str, Any]) -> dict[str, Any]:
    told = one.told
    return {
        "id": one.pk,
        "stix_id": f"campaign--{one.pk}",
        "group": group,
        "name": told["name"],
        "alias": alias,
        "state": _state(one),
        "grade": told["grade"],
        "accounts": told["accounts"],
        "labs": told["labs"],
        "kinds": told["kinds"],
        "first_seen": told["first_seen"],
        "last_seen": told["last_seen"],
        "indicators": told["indicators"],
        "linked": told["linked"],
        "into": told["into"] or None,
        "yours": own,
    }


def _state(one: Campaign) -> str:
    return "dismissed" if one.dismissed else "ended" if one.told["ended"] else "live"


def elsewhere(viewer: Viewer, one: Campaign) -> dict[str, Any]:
    """Campaigns of the viewer's other groups in which cards, devices or mailboxes of its own accounts here stand, too.

    As the groups were told last, by what one's own accounts carry alone, exact: it says nothing of others'. Three
    queries, or none.
    """
    groups = [group for group in viewer.group_ids if group != one.group_id]
    found, more = overlapping.of(viewer.partner_id, one.pk, groups) if groups else ([], 0)
    told = Campaign.objects.filter(pk__in=[each.campaign for each in found], group__in=groups).exclude(told={})
    seen = {each.pk: each for each in told} if found else {}
    slugs = dict(Group.objects.filter(pk__in={each.group_id for each in seen.values()}).values_list("pk", "slug"))
    return {
        "elsewhere": [
            {"id": pk, "group": slugs[seen[pk].group_id], "name": seen[pk].told["name"], "own_tokens": count}
            for pk, count in found
            if pk in seen
        ],
        "elsewhere_left_out": more,
    }


class Called(NamedTuple):
    """A campaign as its reader calls it."""

    id: UUID
    name: str
    state: str


def called(viewer: Viewer, text: str, *, limit: int) -> list[Called]:
    """The campaigns of the viewer's groups whose name, alias of its own or id this is, or a part of it, newest first.

    By an id its beginning, with `campaign--` or without. Two queries.
    """
    own = CampaignAlias.objects.filter(partner=viewer.partner_id)
    named = Q(told__name__icontains=text) | Q(pk__in=own.filter(alias__icontains=text).values("campaign"))
    digits = text.lower().removeprefix("campaign--")
    started = Q(written__startswith=digits) if digits != text.lower() or len(digits) >= _DIGITS else Q()
    told = Campaign.objects.filter(group__in=viewer.group_ids).exclude(told={})
    fits = told.annotate(written=Cast("pk", TextField())).filter(named | started)
    found = list(fits.order_by("-created_at", "-pk")[:limit])
    aliases = dict(own.filter(campaign__in=[one.pk for one in found]).values_list("campaign", "alias"))
    return [Called(one.pk, aliases.get(one.pk) or one.told["name"], _state(one)) for one in found]


def names(viewer: Viewer, group_id: UUID) -> dict[UUID, str]:
    """The names of the campaigns of one of the viewer's groups that can be spoken of, the newest first: so many."""
    found = Campaign.objects.filter(group=group_id, group__in=viewer.group_ids).exclude(told={})
    return dict(found.order_by("-created_at", "-pk").values_list("pk", "told__name")[:_MOST_NAMES])


def own_accounts(viewer: Viewer, campaign_id: UUID, *, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The viewer's own accounts in a campaign, by its own pseudonyms, with the tokens by which they are."""
    one = statements.visible(viewer, campaign_id)
    found = rows(
        _BY_ACCOUNT,
        campaign=one.pk,
        partner=viewer.partner_id,
        after=after or UUID(int=0),
        limit=limit,
        first=after is None,
    )
    tokens: dict[int, list[dict[str, Any]]] = defaultdict(list)
    for suspect, pk, *said in rows(_IN_COMMON, campaign=one.pk, suspects=[row[0] for row in found]):
        if len(tokens[suspect]) < _TOKENS_SHOWN:
            tokens[suspect].append(_token(*said) | {"node": picturing.node_of(one.pk, pk)})
    return [
        {
            "account": account,
            "grade": "corroborated" if grade == "corroborated" else "one_labs_word",
            "since": hour(since),
            "publisher_action": action,
            "tokens": tokens[suspect],
        }
        for suspect, account, grade, since, action in found
    ]


def _token(subkind: str, scheme: str, epoch: str, value: bytes, psp_scope: str, wide: bool) -> dict[str, Any]:  # noqa: FBT001 - a column
    """A token as its lab sent it."""
    said: dict[str, Any] = {"subkind": subkind, "scheme": scheme, "key_epoch": epoch, "value": bytes(value).hex()}
    return said | ({"psp_scope": psp_scope} if psp_scope else {}) | ({"wide": True} if wide else {})


# A row for each of the partner's accounts in the campaign, by account.
_BY_ACCOUNT = """
SELECT p.suspect, s.account, p.grade, p.since, s.publisher_action
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = %(campaign)s AND p.partner_id = %(partner)s AND (%(first)s OR s.account > %(after)s)
ORDER BY s.account LIMIT %(limit)s
"""
# The pure tokens of accounts that another account of the campaign, and another lab's evidence, carries.
_IN_COMMON = """
SELECT c.suspect, t.id, t.subkind, t.scheme, t.epoch, t.value, t.psp_scope, t.wide
FROM indicators_carried c JOIN indicators_puretoken u ON u.token = c.token
JOIN indicators_evidencetoken t ON t.id = c.token
JOIN indicators_suspect own ON own.id = c.suspect
WHERE c.suspect = ANY(%(suspects)s) AND EXISTS (
    SELECT 1 FROM indicators_carried o JOIN indicators_placed p ON p.suspect = o.suspect
    WHERE o.token = c.token AND p.campaign = %(campaign)s AND p.partner_id <> own.partner_id
)
ORDER BY c.suspect, t.subkind, t.id
"""


def history(viewer: Viewer, campaign_id: UUID) -> list[dict[str, Any]]:
    """What became of a campaign, the oldest first, to the hour, with the kinds of tokens that did it."""
    one = statements.visible(viewer, campaign_id)
    told = Q(at__lte=one.told_at) | Q(kind__in=_SAID_BY_PEOPLE)
    events = list(CampaignEvent.objects.filter(told, campaign=one.pk).order_by("at", "pk")[:MOST_EVENTS])
    others = [event.other for event in events if event.other is not None]
    shown = set(
        Campaign.objects.filter(pk__in=others, group=one.group_id).exclude(told={}).values_list("pk", flat=True)
    )
    return [
        {
            "at": hour(event.at),
            "kind": event.kind,
            "other": event.other if event.other in shown else None,
            "causes": event.causes,
        }
        for event in events
    ]


def graph(viewer: Viewer, campaign_id: UUID) -> dict[str, Any]:
    """The picture of a campaign as its group was told of it, with one's own lane, accounts and tokens. Four queries."""
    one = statements.visible(viewer, campaign_id)
    shown: dict[str, Any] = copy.deepcopy(one.picture)
    if not shown:
        return {"as_of": hour(one.told_at or one.changed_at), **_NOTHING}
    lane = picturing.lane_of(one.pk, viewer.partner_id)
    nodes = {node["id"]: node for node in shown["nodes"]}
    for node in nodes.values():
        node["own"] = node["id"] == lane
    if lane in nodes:
        _show_own(viewer, one, shown, nodes, lane=lane)
    return shown


_NOTHING: dict[str, Any] = {
    "nodes": [],
    "edges": [],
    "reasons": [],
    "timeline": {"grain": "hour", "steps": [], "lanes": [], "growth": []},
    "left_out": {"tokens": "0", "labs": 0, "own_accounts": 0},
}


def _show_own(
    viewer: Viewer, one: Campaign, shown: dict[str, Any], nodes: dict[str, dict[str, Any]], *, lane: str
) -> None:
    """One's own accounts, as many as there is room for, each with its edges; and what one's own tokens are."""
    own = _own_counts(viewer, [one.pk])[one.pk]
    theirs = sum(node.get("marks", 0) for key, node in nodes.items() if key != lane)
    room = max(nodes[lane].get("marks", 0), min(_OWN_SHOWN, picturing.MOST_MARKS - len(nodes) - theirs))
    some = rows(_OWN_ACCOUNTS, campaign=one.pk, partner=viewer.partner_id, limit=room)
    edges: dict[int, list[str]] = defaultdict(list)
    for suspect, pk, *said in rows(_OWN_TOKENS, suspects=[row[0] for row in some]):
        node = picturing.node_of(one.pk, pk)
        if node in nodes:
            nodes[node] |= {"own": True, "token": _token(*said)}
            if len(edges[suspect]) < _EDGES_SHOWN:
                edges[suspect].append(node)
    nodes[lane] |= {"own_accounts": own["accounts"], "own_did": own["did"]}
    shown["nodes"] += [
        {
            "id": f"account-{account}",
            "type": "account",
            "account": account,
            "lab": lane,
            "did": action,
            "grade": grade or Grade.WORD,
            "own": True,
        }
        for _, account, action, grade in some
    ]
    shown["edges"] += [
        {"from": f"account-{account}", "to": node, "grade": nodes[node]["grade"]}
        for suspect, account, _, _ in some
        for node in edges[suspect]
    ]
    shown["left_out"]["own_accounts"] = own["accounts"] - len(some)


_EDGES_SHOWN = 8
#: One's own accounts, where there is room.
_OWN_SHOWN = 120
# The partner's accounts in the campaign, by their pseudonyms.
_OWN_ACCOUNTS = """
SELECT p.suspect, s.account, s.publisher_action, p.grade
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = %(campaign)s AND p.partner_id = %(partner)s ORDER BY s.account LIMIT %(limit)s
"""
# Their pure tokens, those first that most suspects of all labs hold.
_OWN_TOKENS = """
SELECT c.suspect, t.id, t.subkind, t.scheme, t.epoch, t.value, t.psp_scope, t.wide
FROM indicators_carried c JOIN indicators_puretoken u ON u.token = c.token
JOIN indicators_evidencetoken t ON t.id = c.token
WHERE c.suspect = ANY(%(suspects)s) ORDER BY c.suspect, t.suspects DESC, t.id
"""
