"""Read campaigns: those of the viewer's groups, as they were told, in buckets; of accounts, one's own alone.

What is shown of a campaign is what was told to its group (`Campaign.told`), never what the exchange counts meanwhile.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from indicators.campaigns import statements
from indicators.campaigns.objects import hour
from indicators.campaigns.placing import rows
from indicators.campaigns.tables import Campaign, CampaignAlias, CampaignEvent
from partners.models import Group
from partners.viewer import Viewer

_TOKENS_SHOWN = 8
MOST_EVENTS = 500


def page(viewer: Viewer, *, after: tuple[str, str] | None, limit: int, ended: bool) -> list[Campaign]:
    """The campaigns of the viewer's groups, the newest first. Two queries with `documents`."""
    found = Campaign.objects.filter(group__in=viewer.group_ids).exclude(told={})
    if not ended:
        found = found.filter(state=Campaign.State.LIVE, dismissed=False)
    if after is not None:
        created, pk = datetime.fromisoformat(after[0]), UUID(after[1])
        found = found.filter(created_at__lte=created).exclude(created_at=created, pk__gte=pk)
    return list(found.order_by("-created_at", "-pk")[:limit])


def documents(viewer: Viewer, found: Sequence[Campaign]) -> list[dict[str, Any]]:
    """Campaigns as they are shown. Two queries."""
    ids = [one.pk for one in found]
    aliases = dict(
        CampaignAlias.objects.filter(campaign__in=ids, partner=viewer.partner_id).values_list("campaign", "alias")
    )
    slugs = dict(Group.objects.filter(pk__in={one.group_id for one in found}).values_list("pk", "slug"))
    return [_document(one, slugs[one.group_id], aliases.get(one.pk)) for one in found]


def _document(one: Campaign, group: str, alias: str | None) -> dict[str, Any]:
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
    }


def _state(one: Campaign) -> str:
    return "dismissed" if one.dismissed else "ended" if one.told["ended"] else "live"


def members(viewer: Viewer, campaign_id: UUID, *, after: UUID | None, limit: int) -> list[dict[str, Any]]:
    """The viewer's own accounts in a campaign, by its own pseudonyms, with the tokens that hold them in."""
    one = statements.visible(viewer, campaign_id)
    found = rows(
        _MEMBERS,
        campaign=one.pk,
        partner=viewer.partner_id,
        after=after or UUID(int=0),
        limit=limit,
        first=after is None,
    )
    tokens: dict[int, list[dict[str, str]]] = defaultdict(list)
    for suspect, subkind, scheme, epoch, value in rows(_HOLDING, campaign=one.pk, suspects=[row[0] for row in found]):
        if len(tokens[suspect]) < _TOKENS_SHOWN:
            said = {"subkind": subkind, "scheme": scheme, "key_epoch": epoch, "value": bytes(value).hex()}
            tokens[suspect].append(said)
    return [
        {
            "account": account,
            "grade": "corroborated" if grade == "corroborated" else "one_labs_word",
            "since": hour(since),
            "tokens": tokens[suspect],
        }
        for suspect, account, grade, since in found
    ]


# A row for each of the partner's accounts in the campaign, by account.
_MEMBERS = """
SELECT p.suspect, s.account, p.grade, p.since
FROM indicators_placed p JOIN indicators_suspect s ON s.id = p.suspect
WHERE p.campaign = %(campaign)s AND p.partner_id = %(partner)s AND (%(first)s OR s.account > %(after)s)
ORDER BY s.account LIMIT %(limit)s
"""
# The pure tokens of accounts that another account of the campaign, and another lab's evidence, carries.
_HOLDING = """
SELECT c.suspect, t.subkind, t.scheme, t.epoch, t.value
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
    events = list(CampaignEvent.objects.filter(campaign=one.pk).order_by("at", "pk")[:MOST_EVENTS])
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
