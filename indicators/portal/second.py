"""What a second person is to know of an object that waits: what it changes, whom it comes to, who loses sight of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from exchange.errors import ExchangeError
from indicators.models import HeldBatch, Holding
from indicators.portal import comparing, showing
from indicators.portal.comparing import Changed
from indicators.publishing import awaiting, previewing
from indicators.publishing.reach import Reach
from indicators.stix.drafts import Draft
from partners import viewing
from partners.tlp import Tlp
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Moved:
    """Partners by name: who would see an object, who of them does not yet, who no longer would; or why nobody."""

    sees: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    lost: tuple[str, ...] = ()
    problem: str = ""


def objects(viewer: Viewer, one: HeldBatch, *, most: int) -> list[dict[str, Any]]:
    """The first objects of a batch that waits. A query, and a few for each audience among them."""
    drafts = list(awaiting.first_objects(one, at_most=most))
    own = Holding.objects.visible_to(viewer).filter(
        publisher=viewer.partner_id, stix_id__in=[draft.stix_id for draft in drafts], newest__isnull=False
    )
    before = {held.stix_id: held for held in own.select_related("newest", "audience")}
    asked = _Asked(viewer, Reach.from_json(one.reach))
    return [_object(viewer, draft, before.get(draft.stix_id), asked) for draft in drafts]


def _object(viewer: Viewer, draft: Draft, held: Holding | None, asked: _Asked) -> dict[str, Any]:
    marking = asked.marking(draft)
    changes: Sequence[Changed] = ()
    if held is not None and held.newest is not None:
        now = Tlp(held.audience.tlp)
        changes = [
            *([] if now is marking else [Changed("TLP", now.label, marking.label)]),
            *comparing.changes(held.newest.body, draft.raw.decode()),
        ]
    return {
        "title": draft.title,
        "id": draft.stix_id,
        "kind": showing.kind_name(draft.kind, draft.stix_type),
        "tlp": marking.word,
        "raw": draft.raw.decode(),
        "revises": held is not None,
        "changes": changes,
        "sight": asked.sight(marking, None if held is None else held.audience_id),
    }


class _Asked:
    """Who would see what goes to one audience, asked once for each marking; and who sees what is there."""

    def __init__(self, viewer: Viewer, reach: Reach) -> None:
        self._viewer, self._reach = viewer, reach
        self._then: dict[Tlp, tuple[frozenset[str], str]] = {}
        self._now: dict[int, frozenset[str]] = {}

    def marking(self, draft: Draft) -> Tlp:
        """The strictest of what the object says and what the batch does; the default where neither says one."""
        own = None if draft.tlp is None else Tlp.from_word(draft.tlp)
        return max((tlp for tlp in (own, self._reach.tlp) if tlp is not None), default=self._viewer.default_tlp)

    def sight(self, marking: Tlp, audience: int | None) -> Moved:
        """Who would see it, beside who does."""
        then, problem = self._would_see(marking)
        if problem:
            return Moved(problem=problem)
        now = self._sees(audience) if audience is not None else then
        return Moved(tuple(sorted(then)), tuple(sorted(then - now)), tuple(sorted(now - then)))

    def _would_see(self, marking: Tlp) -> tuple[frozenset[str], str]:
        if marking not in self._then:
            try:
                found = previewing.who_would_see(self._viewer, replace(self._reach, tlp=marking))
                self._then[marking] = frozenset(reader.partner_name for reader in found), ""
            except ExchangeError as refused:
                self._then[marking] = frozenset(), str(refused.detail)
        return self._then[marking]

    def _sees(self, audience: int) -> frozenset[str]:
        if audience not in self._now:
            self._now[audience] = frozenset(reader.partner_name for reader in viewing.readers(audience))
        return self._now[audience]
