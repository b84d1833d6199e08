"""What a second person is to know of an object that waits: what it changes, whom it comes to, who loses sight of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from exchange.errors import ExchangeError
from exchange.tokens.defanging import defanged
from indicators.models import HeldBatch, Holding
from indicators.portal import comparing, showing
from indicators.portal.comparing import Changed
from indicators.publishing import awaiting, previewing
from indicators.publishing.previewing import Foreseen
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
    drafts = previewing.as_marked(viewer, *awaiting.first_objects(one, at_most=most))
    own = Holding.objects.visible_to(viewer).filter(
        publisher=viewer.partner_id, stix_id__in=[draft.stix_id for draft in drafts], newest__isnull=False
    )
    before = {held.stix_id: held for held in own.select_related("newest", "audience")}
    sees: dict[int, frozenset[str]] = {}
    for audience in {held.audience_id for held in before.values()}:
        sees[audience] = frozenset(reader.partner_name for reader in viewing.readers(audience))
    return [
        _object(draft, before.get(draft.stix_id), then, sees)
        for draft, then in zip(drafts, _foreseen(viewer, one, drafts), strict=True)
    ]


def _foreseen(viewer: Viewer, one: HeldBatch, drafts: Sequence[Draft]) -> list[Foreseen]:
    """Where they would go now, by the rule that publishes them; where all would be refused, each says so."""
    reach = Reach.from_json(one.reach)
    try:
        return previewing.foresee(viewer, drafts, reach, wake=awaiting.wakes(one))
    except ExchangeError as refused:
        return [Foreseen(_said(viewer, draft, reach), problem=str(refused.detail)) for draft in drafts]


def _said(viewer: Viewer, draft: Draft, reach: Reach) -> Tlp:
    """The strictest of what the object says and what the batch does; RED while one of its markings leads nowhere."""
    if draft.unresolved:
        return Tlp.RED
    own = None if draft.tlp is None else Tlp.from_word(draft.tlp)
    return max((tlp for tlp in (own, reach.tlp) if tlp is not None), default=viewer.default_tlp)


def _object(draft: Draft, held: Holding | None, then: Foreseen, sees: Mapping[int, frozenset[str]]) -> dict[str, Any]:
    changes: Sequence[Changed] = ()
    if held is not None and held.newest is not None:
        now = Tlp(held.audience.tlp)
        changes = [
            *([] if now is then.tlp else [Changed("TLP", now.label, then.tlp.label)]),
            *comparing.changes(held.newest.body, draft.raw.decode()),
        ]
    return {
        "title": draft.title,
        "id": draft.stix_id,
        "value": _value(draft),
        "kind": showing.kind_name(draft.kind, draft.stix_type),
        "tlp": then.tlp.word,
        "raw": draft.raw.decode(),
        "revises": held is not None,
        "changes": changes,
        "sight": _moved(then, then.sees if held is None else sees[held.audience_id]),
    }


def _value(draft: Draft) -> str:
    """What it matches on, as lists show it: by that one object of a batch is told from the next."""
    extension = dict(draft.extension or {})
    if code := showing.code(extension):
        return " ".join(code[0][1].split())
    if not draft.tokens:
        return ""
    first = draft.tokens[0]
    return defanged(first.value) if first.scheme == "clear" else first.value


def _moved(then: Foreseen, now: frozenset[str]) -> Moved:
    """Who would see it, beside who does."""
    if then.problem:
        return Moved(problem=then.problem)
    return Moved(tuple(sorted(then.sees)), tuple(sorted(then.sees - now)), tuple(sorted(now - then.sees)))
