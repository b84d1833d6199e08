"""What a batch did, as counsel needs it: per audience how many objects of each kind, and on which legal bases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from indicators.publishing.moving import Moving
from indicators.publishing.versions import Entering, History
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.groups import bases
from partners.models import Audience, Group
from partners.tlp import Tlp

#: What is already old when it arrives, under another audience than the newest version: its publisher alone.
_ALONE = 0

_Counts = dict[int, Counter[str]]


def shared(
    entering: Sequence[Entering],
    moves: Sequence[Moving] = (),
    *,
    closed: Iterable[History] = (),
    specs: Mapping[int, AudienceSpec] | None = None,
    groups: Mapping[UUID, Group] | None = None,
) -> dict[str, Any]:
    """For the record of a batch: `shared`, `withdrawn` and `narrowed`, each by audience, and the `bases` of the groups.

    `narrowed` is the audience that lost sight of objects because they were addressed anew. Three queries at most,
    whatever the number of objects, and none for audiences and groups that are known; counts and names only.
    """
    counted: dict[str, _Counts] = {"shared": {}, "withdrawn": {}, "narrowed": {}}
    for new in entering:
        kind = new.draft.kind or new.draft.stix_type
        what = "withdrawn" if new.draft.revoked and new.latest else "shared"
        _count(counted[what], new.told_to(_ALONE, nobody=_ALONE), kind)
        held = new.history.stored_latest
        if new.latest and held is not None and new.moves_from is not None:
            _count(counted["narrowed"], held.audience_id, kind)
    for history in closed:
        if history.stored_latest is not None and not history.stored_latest.revoked:
            _count(counted["withdrawn"], history.stored_latest.audience_id, history.closed)
    for move in moves:
        kind = (move.draft.kind or move.draft.stix_type) if move.draft else "other"
        _count(counted["shared"], move.audience_id, kind)
        _count(counted["narrowed"], move.held.audience_id, kind)
    ids = {audience_id for counts in counted.values() for audience_id in counts}
    audiences: dict[int, Audience | AudienceSpec] = {pk: spec for pk, spec in (specs or {}).items() if pk in ids}
    if unknown := ids - set(audiences) - {_ALONE}:
        audiences |= Audience.objects.in_bulk(unknown)
    named = bases.Names.of(audiences.values(), known=groups)
    details: dict[str, Any] = {
        what: [_told(counts[pk], audiences.get(pk), named=named) for pk in sorted(counts)]
        for what, counts in counted.items()
        if counts
    }
    if named.bases:
        details["bases"] = list(named.bases.values())
    return details


def strictest(tlps: Iterable[int]) -> Tlp:
    """The strictest of several markings; CLEAR of none."""
    return Tlp(max(tlps, default=Tlp.CLEAR))


def _count(counts: _Counts, audience_id: int, kind: str) -> None:
    counts.setdefault(audience_id, Counter())[kind] += 1


def _told(kinds: Counter[str], audience: Audience | AudienceSpec | None, *, named: bases.Names) -> dict[str, Any]:
    told: dict[str, Any] = {"objects": dict(sorted(kinds.items()))}
    if audience is None:
        return told | {"nobody_else": True}
    return told | {
        "tlp": Tlp(audience.tlp).word,
        "attribution": Attribution(audience.attribution).word,
        "everyone": audience.everyone,
        "groups": [named.groups[group] for group in audience.groups if group in named.groups],
        "partners": [named.partners[partner] for partner in audience.partners if partner in named.partners],
    }
