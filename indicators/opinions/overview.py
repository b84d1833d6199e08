"""What others say of a partner's objects, and what it says of theirs: the newest opinions that count, page by page."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal
from uuid import UUID

from django.db.models import F, QuerySet

from indicators.models import Holding, Opinion
from indicators.opinions.counting import counts as counting
from partners.viewer import Viewer

Way = Literal["received", "given"]


@dataclass(frozen=True, slots=True)
class Judged:
    """One opinion in force. `waits`: for a second person of the viewer's partner, which gave it."""

    place: int
    partner_id: UUID
    stix_id: str
    version: int
    says: int
    reason: str
    at: datetime
    waits: bool
    actor: str  # who of the viewer's partner gave it; empty for others' and where it is not known


def page(viewer: Viewer, way: Way, *, before: int | None, limit: int) -> tuple[list[Judged], bool]:
    """Opinions that count on living objects, as the viewer hears them, newest first; and whether there are more.

    `received` are others' on the viewer's own objects, `given` the viewer's own. One query.
    """
    found = _of(viewer, way)
    if before is not None:
        found = found.filter(place__lt=before)
    rows = list(found.order_by("-place")[: limit + 1])
    return [_said(row, given=way == "given") for row in rows[:limit]], len(rows) > limit


def counts(viewer: Viewer) -> dict[str, int]:
    """How many of each, and how many of those received dissent. Two queries."""
    received = _of(viewer, "received").values_list("says", flat=True)
    says = list(received[:_MOST])
    return {
        "received": len(says),
        "dissents": sum(each < 0 for each in says),
        "given": len(_of(viewer, "given").values_list("pk")[:_MOST]),
    }


#: So many are counted, at most.
_MOST = 1_000


def _of(viewer: Viewer, way: Way) -> QuerySet[Opinion]:
    found = Opinion.objects.visible_to(viewer).filter(
        counting(),
        holding__state=Holding.State.LIVE,
        holding__newest__isnull=False,
        said_by__state=Holding.State.LIVE,
    )
    if way == "given":
        found = found.filter(partner=viewer.partner_id)
    else:
        found = found.filter(holding__publisher=viewer.partner_id).exclude(partner=viewer.partner_id)
    return found.annotate(stix_id=F("holding__stix_id"), version=F("holding__newest_id"))


def _said(row: Opinion, *, given: bool) -> Judged:
    return Judged(
        place=row.place,
        partner_id=row.partner_id,
        stix_id=row.stix_id,  # type: ignore[attr-defined]
        version=row.version,  # type: ignore[attr-defined]
        says=row.says,
        reason=row.reason,
        at=row.at,
        waits=given and not row.alone and row.says < 0,
        actor=row.actor if given else "",
    )
