"""A partner says that it saw what somebody else published: a STIX `sighting`, in buckets, published like an opinion.

A count is a power of ten, rounded down, and a time a full hour: what was sent more finely is not kept.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from django.db.models import F

from exchange import clock
from exchange.errors import NotFound, Refused
from indicators.models import Holding, StixObject
from indicators.opinions import about
from indicators.stix import identifiers
from partners.scopes import Scope
from partners.sources import Source, sources
from partners.viewer import Viewer

_MOST = 10**7
MOST = 200


@dataclass(frozen=True, slots=True)
class Sighted:
    """One sighting as a viewer reads it."""

    partner: Source
    stix_id: str
    count: int | None
    first_seen: str | None
    last_seen: str | None


def report(viewer: Viewer, stix_id: str, *, count: int, first_seen: datetime, last_seen: datetime) -> str:
    """Say that the viewer's partner saw it, so often and from the one hour to the other; returns what became of that.

    Raises NotFound for what the viewer does not see, Refused for its own, for what has ended, and for times that are
    ahead or in the wrong order.
    """
    viewer.require(Scope.REACT)
    holding = about.others(viewer, stix_id)
    if not count >= 1:
        raise Refused("A whole number from 1.", code="bad-count", at="/count")
    if not first_seen <= last_seen <= clock.now():
        raise Refused("`first_seen` is not after `last_seen`, and neither is ahead.", code="bad-time", at="/last_seen")
    now = clock.rfc3339(clock.now())
    document = {
        "type": "sighting",
        "spec_version": "2.1",
        "id": f"sighting--{uuid.uuid4()}",
        "created_by_ref": viewer.identity_id,
        "created": now,
        "modified": now,
        "object_marking_refs": about.markings(holding),
        "sighting_of_ref": holding.stix_id,
        "count": bucket(count),
        "first_seen": _hour(first_seen),
        "last_seen": _hour(last_seen),
    }
    return about.publish(viewer, document, holding)


def bucket(count: int) -> int:
    """The power of ten below, at most 10^7."""
    return min(int(f"1{'0' * (len(str(count)) - 1)}"), _MOST)


def _hour(moment: datetime) -> str:
    return clock.rfc3339(moment.replace(minute=0, second=0, microsecond=0))


def read(viewer: Viewer, stix_id: str) -> list[Sighted]:
    """The newest sightings of an id that the viewer sees. Raises NotFound where it does not see the id itself."""
    wanted = identifiers.folded(stix_id)
    if not Holding.objects.visible_to(viewer).filter(stix_id=wanted, newest__isnull=False).exists():
        raise NotFound
    found = list(
        StixObject.objects.visible_to(viewer)
        .filter(
            holding__newest=F("pk"),
            holding__state=Holding.State.LIVE,
            holding__stix_type="sighting",
            references__target_id=wanted,
            references__path="/sighting_of_ref",
        )
        .select_related("holding")
        .order_by("-pk")[:MOST]
    )
    shown = sources(viewer, {(one.publisher_id, one.audience_id) for one in found}) if found else {}
    return [_sighted(one, shown[one.publisher_id, one.audience_id]) for one in found]


def _sighted(one: StixObject, source: Source) -> Sighted:
    said: dict[str, Any] = orjson.loads(one.body)
    count = said.get("count")
    times = [said.get(name) if isinstance(said.get(name), str) else None for name in ("first_seen", "last_seen")]
    return Sighted(source, one.stix_id, count if isinstance(count, int) else None, *times)
