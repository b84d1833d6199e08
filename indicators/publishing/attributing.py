"""Whom the objects of one batch are seen to come from, and what would give away a publisher that is not named.

What is published together is told together, so a batch has one source. A holding keeps the source that it had, and
under a pseudonym the group: the same object under two sources would join them. So would a reference from one to the
other, whichever of them comes first, but for ids that the publisher may see others hold, too: what it may not see is
never part of the answer.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from exchange.sql import Message, Reply
from indicators import stored
from indicators.door import anonymity
from indicators.models import Holding
from indicators.publishing.versions import History
from indicators.reading import referred
from indicators.stix import references, tlp
from indicators.stix.drafts import Draft, Refusal
from partners.attribution import Attribution
from partners.audiences import AudienceSpec
from partners.viewer import Viewer

_STAYS = Refusal("pseudonym-stays-in-its-group", "", "Withdraw it, if it is not yet, and publish it under a new id.")


class Voice:
    """The source of one batch: that of the first of its objects which enters."""

    def __init__(self, by: Viewer, wanted: Callable[[Draft], Attribution | None], drafts: Iterable[Draft]) -> None:
        """`wanted` says how the batch and an object want the source to be shown."""
        self._by = by
        self._wanted = wanted
        self._publisher = anonymity.Publisher(by.identity_id, by.partner_name, by.partner_slug)
        #: References are looked at only by a publisher that is, or comes to be, not always named.
        self.veiled = by.unnamed or any(wanted(draft) for draft in drafts)
        self.attribution: Attribution | None = None
        #: Of the ids that matter those that others are seen to hold, too.
        self._shared: frozenset[str] = frozenset()
        self._pointing = Reply()

    def judge(self, draft: Draft, history: History, held: Mapping[str, stored.Versions]) -> Attribution | Refusal:
        """How the source of an object that is to enter is shown, or why it may not be."""
        said = self._wanted(draft)
        if history.attribution is not None and said is not None and said != history.attribution:
            return Refusal("attribution-is-fixed", "", "This object is held with another attribution; that stays.")
        chosen = Attribution(history.attribution) if history.attribution is not None else said
        if chosen is None:
            chosen = Attribution.NAMED
        if self.attribution not in (None, chosen):
            return Refusal("mixed-attribution", "", "A batch has one attribution; send the others by themselves.")
        if history.sleeps and chosen == Attribution.PSEUDONYM:  # where it was is not known any more
            return _STAYS
        refusal = self._gives_away(draft, chosen, held)
        if refusal is not None:
            return refusal
        self.attribution = chosen
        return chosen

    def references(self, drafts: Iterable[Draft]) -> set[str]:
        """The ids that the objects refer to, where that matters."""
        return {ref.target for draft in drafts for ref in draft.references} if self.veiled else set()

    def look_back(self, drafts: Iterable[Draft], message: Message) -> None:
        """Find, once the message is sent, what the publisher holds that refers to these, where they are new and veiled.

        One statement, and none for who always gives its name. It walks reference_by_target.
        """
        if self.veiled:
            ids = [draft.stix_id for draft in drafts]
            self._pointing = message.add(_POINTING, {"by": self._by.partner_id, "ids": ids})

    def look_around(self, drafts: Iterable[Draft], held: Mapping[str, stored.Versions]) -> None:
        """Find which ids by which sources could be joined others are seen to hold. One query, where it matters."""
        pointing = {target for target, _ in self._pointing.rows}
        if self.veiled and (pointing or any(ref.target in held for draft in drafts for ref in draft.references)):
            seen = Holding.objects.visible_to(self._by).exclude(publisher=self._by.partner_id)
            self._shared = frozenset(seen.filter(stix_id__in={*held, *pointing}).values_list("stix_id", flat=True))

    def _gives_away(self, draft: Draft, chosen: Attribution, held: Mapping[str, stored.Versions]) -> Refusal | None:
        if chosen != Attribution.NAMED and (refusal := anonymity.check(draft, self._publisher)) is not None:
            return refusal
        if not self.veiled:
            return None
        for ref in draft.references:
            other = next(iter(held.get(ref.target, {}).values()), None)
            if other is not None and other.attribution != chosen and not self._is_common(ref.target):
                said = "It refers to what you hold with another attribution."
                return Refusal("joins-sources", references.told(ref.path), said)
        for target, attribution in self._pointing.rows:
            if target == draft.stix_id and attribution != chosen and not self._is_common(target):
                return Refusal("joins-sources", "/id", "What you hold with another attribution refers to it.")
        return None

    def _is_common(self, ref: str) -> bool:
        """Whether an id says nothing about its holder: a standard one, or one that others are seen to hold.

        Whether anybody holds an id that is only guessed is nobody's to learn (law 1).
        """
        if ref in tlp.ALL_IDS or referred.is_fixed(ref):
            return True
        return ref in self._shared


# A row for each of these ids that the publisher does not hold yet, and each way in which it shows what refers to it:
# from these ids alone to what refers to them, each found by its key.
_POINTING = """
SELECT DISTINCT new.id, a.attribution
FROM (
    SELECT asked.id FROM unnest(%(ids)s::text[]) asked(id)
    WHERE NOT EXISTS (
        SELECT FROM indicators_holding held WHERE held.stix_id = asked.id AND held.publisher_id = %(by)s)
    OFFSET 0
) new
CROSS JOIN LATERAL (SELECT r.version_id FROM indicators_reference r WHERE r.target_id = new.id OFFSET 0) r
CROSS JOIN LATERAL (SELECT o.holding_id FROM indicators_stixobject o WHERE o.id = r.version_id LIMIT 1) o
CROSS JOIN LATERAL (SELECT h.* FROM indicators_holding h WHERE h.id = o.holding_id LIMIT 1) h
CROSS JOIN LATERAL (SELECT a.attribution FROM partners_audience a WHERE a.id = h.audience_id LIMIT 1) a
WHERE h.publisher_id = %(by)s
"""


def moves_pseudonym(held: stored.Version, spec: AudienceSpec) -> Refusal | None:
    """Why a holding under a pseudonym may not go to this audience: it stays in its group."""
    if held.attribution == Attribution.PSEUDONYM and tuple(held.groups or ()) != spec.groups:
        return _STAYS
    return None
