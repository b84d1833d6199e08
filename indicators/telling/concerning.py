"""What of a stretch of the log concerns the reader itself: others' words on its objects, matches, campaigns, recalls.

Read under the rule of who is looking, when it is told; kept nowhere. The inbox (`inbox`) tells people the same.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from indicators.campaigns.tables import Campaign
from indicators.log import changes
from indicators.models import Change, Holding, Reference
from partners.viewer import Viewer

#: What names other objects and says something of them by that.
_SAY_OF_OTHERS = frozenset({"grouping", "note", "opinion", "relationship", "report", "sighting"})
_CAMPAIGN = "campaign"
#: How the exchange names its campaigns; a partner may publish one under another id.
_OURS = re.compile(r"campaign--([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})")


def hints(viewer: Viewer, told: Sequence[changes.Told], *, only_yours: bool = False) -> list[dict[str, Any]]:
    """What webhooks and events say of changes, whose matches are known; `yours` is in those that concern the reader.

    With `only_yours` these alone, and what others recalled. Three queries at most, none of what only indicators say.
    """
    own = yours(viewer, told)
    said = []
    for one in told:
        ids = own.get(one.seq, [])
        if ids or not only_yours or _is_anothers_recall(viewer, one):
            said.append(changes.hint_of(one) | ({"yours": ids} if ids else {}))
    return said


def is_urgent(said: Iterable[Mapping[str, Any]]) -> bool:
    """As `changes.is_urgent`, of what is told."""
    return any(one["op"] == Change.Op.REMOVE for one in said)


def yours(viewer: Viewer, told: Iterable[changes.Told]) -> Mapping[int, list[str]]:
    """By its place, of each upsert of others: the ids of the reader's own objects that it names or matches.

    Of a campaign that accounts of the reader's are in, its own id.
    """
    others = [one for one in told if one.op == Change.Op.UPSERT and one.publisher_id != viewer.partner_id]
    found: dict[int, set[str]] = {}
    named = _named(viewer, [one.version_id for one in others if one.stix_type in _SAY_OF_OTHERS])
    ours = _campaigns(viewer, [one.stix_id for one in others if one.stix_type == _CAMPAIGN])
    for one in others:
        ends = (end for match in one.matches for end in match.ends)
        ids = {end.stix_id for end in ends if end.source.id == viewer.partner_id}
        ids |= named.get(one.version_id, set()) | ({one.stix_id} & ours)
        if ids:
            found[one.seq] = ids
    return {seq: sorted(ids) for seq, ids in found.items()}


def _named(viewer: Viewer, versions: Sequence[int]) -> dict[int, set[str]]:
    """The reader's own objects that these versions name."""
    if not versions:
        return {}
    refs = list(Reference.objects.visible_to(viewer).filter(version__in=versions).values_list("version", "target_id"))
    own = Holding.objects.visible_to(viewer).filter(publisher=viewer.partner_id, newest__isnull=False)
    said_of = own.exclude(stix_type__in=("identity", "marking-definition"))
    ids = set(said_of.filter(stix_id__in={target for _, target in refs}).values_list("stix_id", flat=True))
    found: dict[int, set[str]] = {}
    for version, target in refs:
        if target in ids:
            found.setdefault(version, set()).add(target)
    return found


def _campaigns(viewer: Viewer, stix_ids: Sequence[str]) -> set[str]:
    """Those of these that accounts of the reader's are in."""
    keys = {UUID(ours[1]) for ours in map(_OURS.fullmatch, stix_ids) if ours}
    if not keys:
        return set()
    found = Campaign.objects.filter(pk__in=keys, group__in=viewer.group_ids, labs__has_key=str(viewer.partner_id))
    return {f"campaign--{pk}" for pk in found.values_list("pk", flat=True)}


def _is_anothers_recall(viewer: Viewer, one: changes.Told) -> bool:
    recalled = one.op == Change.Op.REMOVE and one.reason == Change.Reason.RECALLED
    return recalled and one.publisher_id != viewer.partner_id
