"""What a partner says about an object of somebody else's: of which, to whom, and through the one way in.

It goes where the object is, as far as its author may send there: to everyone, or to those groups of the object that are
the author's, else to its publisher alone, where that is named.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any
from uuid import UUID

import orjson

from exchange.errors import NotFound, Refused
from indicators import living, publishing
from indicators.models import Carries, Holding
from indicators.publishing.reach import Reach
from indicators.reading import lines
from indicators.stix import identifiers, parsing, revising, tlp
from partners.attribution import Attribution
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer


def others(viewer: Viewer, stix_id: str) -> Holding:
    """The holding of an id that the viewer reads and somebody else publishes, living.

    Raises NotFound for what the viewer does not see, Refused for its own and for what has ended.
    """
    wanted = identifiers.folded(stix_id)
    seen = Holding.objects.visible_to(viewer).filter(stix_id=wanted, newest__isnull=False).select_related("audience")
    others = list(seen.exclude(publisher=viewer.partner_id).order_by("pk"))
    if not others:
        if seen.exists():
            raise Refused("It is your own: revise it, revoke it or withdraw it.", code="own-object")
        raise NotFound
    line = lines.chosen(viewer, [wanted]).get(wanted)
    judged = next((holding for holding in others if holding.pk == line), others[0])
    if not living.lives(judged.state):
        raise Refused("It has ended: there is nothing left to say of it.", code="has-ended")
    return judged


def meant(giver: Viewer, ids: Sequence[str]) -> tuple[Holding, ...]:
    """The holdings that somebody names by their ids: of each id the line that they read, never their own.

    And what others hold under that id and says the same values: ids that are made of values are alike at all labs, and
    a value is right or wrong whoever says it. What says other values under the id of another is not meant.
    """
    chosen = lines.chosen(giver, ids)
    seen = Holding.objects.visible_to(giver).filter(stix_id__in=ids).exclude(publisher=giver.partner_id)
    by_id: dict[str, list[Holding]] = {}
    for holding in seen.order_by("pk"):
        by_id.setdefault(holding.stix_id, []).append(holding)
    says = _values([one.pk for several in by_id.values() if len(several) > 1 for one in several])
    found: list[Holding] = []
    for stix_id, several in by_id.items():
        read = next((one for one in several if one.pk == chosen.get(stix_id)), several[0])
        found.append(read)
        found += [one for one in several if one is not read and one.pk in says and says[one.pk] == says.get(read.pk)]
    return tuple(found)


def _values(holdings: Sequence[int]) -> dict[int, frozenset[UUID]]:
    """The keys of the values that holdings say, of those that say any."""
    found: dict[int, set[UUID]] = {}
    if holdings:
        carried = Carries.unrestricted.filter(holding__in=holdings)
        for holding, value in carried.values_list("holding", "token_value"):
            found.setdefault(holding, set()).add(value)
    return {holding: frozenset(values) for holding, values in found.items()}


def markings(holding: Holding) -> list[str]:
    """The marking that what is said about a holding has: as the viewer is shown the holding."""
    return [tlp.ID_OF[Tlp(holding.audience.tlp).word]]


def publish(viewer: Viewer, document: Mapping[str, Any], holding: Holding) -> str:
    """Publish what is said about a holding; returns what became of it, as a push is answered. Raises Refused."""
    return _published(viewer, orjson.dumps({"objects": [document]}), _reach(viewer, holding))


def revoke(viewer: Viewer, body: str, *, modified: str) -> None:
    """Revoke what the viewer's partner said, which went out as `body`: where it went. Raises Refused."""
    version = revising.revoked(body, modified=modified)
    if version is None:
        raise NotFound
    _published(viewer, b'{"objects":[' + version.encode() + b"]}", Reach(), for_good=True)


def _published(viewer: Viewer, body: bytes, reach: Reach, *, for_good: bool = False) -> str:
    answer = publishing.publish(
        parsing.read_batch(body),
        by=replace(viewer, scopes=viewer.scopes | {Scope.PUBLISH}),
        reach=reach,
        request=publishing.Request(hashlib.sha256(body).digest()),
        for_good=for_good,
    )
    (result,) = orjson.loads(answer.results)
    if result["status"] in ("refused", "quarantined"):
        raise Refused(result["message"], code=result["code"], at=result.get("field") or None)
    return str(result["status"])


def _reach(viewer: Viewer, holding: Holding) -> Reach:
    """Where the object is, as far as the viewer may know and send; never to whom its publisher did not show it."""
    audience = holding.audience
    if audience.everyone:
        return Reach(named=True, everyone=True, attribution=Attribution.NAMED)
    groups = tuple(group for group in audience.groups if group in viewer.group_ids)
    named = audience.attribution == Attribution.NAMED and not groups
    publisher = (holding.publisher_id,) if named else ()
    return Reach(named=True, groups=groups, partners=publisher, attribution=Attribution.NAMED)
