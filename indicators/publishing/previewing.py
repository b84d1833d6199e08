"""Who would see what is shared in some way, or what is about to be published: the rule, asked for every partner."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from exchange.errors import Refused
from exchange.sql import Message
from indicators import stored
from indicators.publishing import bounding, markings, rejudging, storing
from indicators.publishing.addressing import BatchAudiences
from indicators.publishing.attributing import Voice
from indicators.publishing.reach import Reach
from indicators.publishing.versions import History
from indicators.stix.drafts import Draft, Refusal
from partners import viewing
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.defaults import DefaultAudience
from partners.scopes import Scope
from partners.sharing import default_reach, may_share
from partners.standing import standing
from partners.tlp import Tlp
from partners.viewer import Viewer


@dataclass(frozen=True, slots=True)
class Foreseen:
    """Of an object that is to be published: how it would be marked and who would see it, by name; or why nobody."""

    tlp: Tlp
    sees: frozenset[str] = frozenset()
    problem: str = ""


def who_would_see(viewer: Viewer, reach: Reach) -> list[viewing.Reader]:
    """The partners that would see it, and whom each would be told that it comes from.

    Raises Forbidden without the rights to publish and to read who is there; Refused as a push would, naming the field.
    """
    viewer.require(Scope.PUBLISH)
    viewer.require(Scope.READ)  # it names partners
    tlp = viewer.default_tlp if reach.tlp is None else reach.tlp
    if reach.named:
        spec = may_share(viewer, tlp=tlp, everyone=reach.everyone, groups=reach.groups, partners=reach.partners)
    else:
        default = DefaultAudience(reach.everyone, reach.groups, reach.partners) if reach.default else None
        spec = default_reach(viewer, tlp, default=default)
    source = Attribution.NAMED if reach.attribution is None else reach.attribution
    return viewing.would_see(viewer, replace(spec, attribution=source))


def as_marked(viewer: Viewer, drafts: Sequence[Draft], definitions: Sequence[Draft]) -> list[Draft]:
    """Each with the strictest TLP that its markings say, by what the publisher holds and sends. One query at most."""
    known = markings.Known(viewer.partner_id, markings.named(drafts))
    defined = markings.defined(known.rows, definitions)
    return [markings.tighten(draft, defined) if draft.markings else draft for draft in drafts]


def foresee(viewer: Viewer, tight: Sequence[Draft], reach: Reach, *, wake: bool) -> list[Foreseen]:
    """Where each object (`as_marked`) would go if this batch were published now; of the door nothing is asked.

    Raises Forbidden as `who_would_see`, Refused where all of the batch would be.
    """
    viewer.require(Scope.PUBLISH)
    viewer.require(Scope.READ)
    # With `withdrawing` each object is told by itself why it may not go where the batch says.
    audiences = BatchAudiences(viewer, reach, stands=standing(viewer), withdrawing=True)
    voice = Voice(viewer, audiences.attribution, tight)
    message = Message()
    found = storing.versions_within(
        message, viewer.partner_id, {one.stix_id for one in tight} | voice.references(tight)
    )
    voice.look_back(tight, message)
    about = bounding.about_within(message, viewer, tight)
    message.send()
    held = found()
    voice.look_around(tight, held)
    foresight = _Foresight(viewer, audiences, voice, held, about())
    return [foresight.of(draft, wake=wake) for draft in tight]


class _Foresight:
    """Asks for each object what publication asks, and for each audience once who sees it."""

    def __init__(
        self,
        viewer: Viewer,
        audiences: BatchAudiences,
        voice: Voice,
        held: Mapping[str, stored.Versions],
        about: bounding.About,
    ) -> None:
        self._viewer, self._audiences, self._voice, self._held, self._about = viewer, audiences, voice, held, about
        newest = [one.object_id for versions in held.values() for one in versions.values() if one.latest]
        self._waits = rejudging.waiting(newest)
        self._sees: dict[AudienceSpec | int, frozenset[str]] = {}

    def of(self, draft: Draft, *, wake: bool) -> Foreseen:
        history = History(draft.stix_id, self._held.get(draft.stix_id, {}))
        held = history.stored_latest
        judged = history.judge(draft, hashlib.sha256(draft.raw).digest(), wake=wake)
        if isinstance(judged, Refusal):
            return self._nobody(draft, judged.message)
        if judged == "withdrawn" and not draft.revoked:
            return self._nobody(draft, "You have withdrawn it since.")
        if judged == "unchanged" and held is not None and not self._audiences.names:
            return Foreseen(Tlp(held.tlp), self._who_sees(held.audience_id))
        source = self._voice.judge(draft, history, self._held)
        if isinstance(source, Refusal):
            return self._nobody(draft, source.message)
        waited = self._waits.get(held.object_id) if held is not None else None
        about = bounding.of_others(draft, self._about)
        goes = self._audiences.goes_to(draft, held=held, source=source, waited=waited, about=about)
        if isinstance(goes, Refusal):
            return self._nobody(draft, goes.message)
        if held is not None and goes.keeps:
            return Foreseen(goes.spec.tlp, self._who_sees(held.audience_id))
        try:
            return Foreseen(goes.spec.tlp, self._who_sees(replace(goes.spec, attribution=source)))
        except Refused as refused:
            return self._nobody(draft, str(refused.detail))

    def _nobody(self, draft: Draft, why: str) -> Foreseen:
        return Foreseen(self._audiences.marking(draft), problem=why)

    def _who_sees(self, audience: AudienceSpec | int) -> frozenset[str]:
        """By the id of an audience that there is, or one that is yet to be."""
        if audience not in self._sees:
            if isinstance(audience, int):
                found = viewing.readers(audience)
            else:
                found = viewing.would_see(self._viewer, audience)
            self._sees[audience] = frozenset(reader.partner_name for reader in found)
        return self._sees[audience]
