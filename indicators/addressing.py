"""The audiences of one batch: what it names, what each object's marking makes of it, found once per marking."""

from __future__ import annotations

from dataclasses import dataclass, replace
from uuid import UUID

from indicators.stix import vocabulary
from indicators.stix.drafts import Draft
from partners import sources
from partners.attribution import Attribution
from partners.models import Group
from partners.sharing import AudienceSpec, Viewer, default_reach, may_share
from partners.tlp import Tlp


@dataclass(frozen=True, slots=True)
class Reach:
    """The audience that a batch names for all its objects; `named` is false where it leaves that to the default."""

    named: bool = False
    tlp: Tlp | None = None
    everyone: bool = False
    groups: tuple[UUID, ...] = ()
    partners: tuple[UUID, ...] = ()
    attribution: Attribution | None = None  # as the objects themselves say, where the batch does not


class Room:
    """The audiences and policies of one batch, found once per marking."""

    def __init__(self, by: Viewer, reach: Reach) -> None:
        self._by = by
        self._reach = reach
        self._policies = dict(Group.objects.filter(pk__in=by.group_ids).values_list("pk", "policy"))
        self._specs: dict[Tlp, AudienceSpec] = {}
        self._ids: dict[tuple[Tlp, int], int] = {}
        if reach.named:  # a batch that may not go where it says is refused before any object is looked at
            may_share(
                by,
                tlp=reach.tlp if reach.tlp is not None else Tlp.AMBER_STRICT,
                everyone=reach.everyone,
                groups=reach.groups,
                partners=reach.partners,
            )

    def marking(self, draft: Draft) -> Tlp:
        """The object's own marking, or the publisher's default; the batch's marking may only narrow it."""
        own = Tlp.from_word(draft.tlp) if draft.tlp else None
        if own is None:
            return self._reach.tlp if self._reach.tlp is not None else self._by.default_tlp
        return own if self._reach.tlp is None else max(own, self._reach.tlp)

    @property
    def names(self) -> bool:
        """Whether the batch says who may see it, or how it is marked."""
        return self._reach.named or self._reach.tlp is not None

    def inherits(self, draft: Draft, *, held_tlp: int) -> bool:
        """Whether a revision names neither another audience nor another marking than the version that is held."""
        if self.names:
            return False
        return draft.tlp is None or Tlp.from_word(draft.tlp) == held_tlp

    def spec(self, tlp: Tlp) -> AudienceSpec:
        """The audience of objects with this marking, not yet stored."""
        if tlp not in self._specs:
            self._specs[tlp] = self._decide(tlp)
        return self._specs[tlp]

    def audience_id(self, tlp: Tlp, attribution: Attribution) -> int:
        """The audience of objects with this marking, whose source is shown like this."""
        if (tlp, attribution) not in self._ids:
            spec = replace(self.spec(tlp), attribution=attribution)
            self._ids[tlp, attribution] = sources.intern(self._by, spec)
        return self._ids[tlp, attribution]

    def attribution(self, draft: Draft) -> Attribution | None:
        """How the batch and the object want its source to be shown: as the more reserved says; None if neither does."""
        word = vocabulary.attribution_of(draft.data)
        own = Attribution.from_word(word) if word else None
        return max((one for one in (self._reach.attribution, own) if one is not None), default=None)

    def policy(self, tlp: Tlp) -> str:
        """The strictest policy among the groups of the audience."""
        groups = self.spec(tlp).groups
        closed = Group.Policy.CLOSED_FACTS
        return closed if any(self._policies.get(group) == closed for group in groups) else Group.Policy.OPEN_CTI

    def _decide(self, tlp: Tlp) -> AudienceSpec:
        reach = self._reach
        if not reach.named:
            return default_reach(self._by, tlp)
        red = tlp is Tlp.RED  # an object that is RED in a batch for a group goes to the named partners only
        return may_share(
            self._by,
            tlp=tlp,
            everyone=reach.everyone and not red,
            groups=() if red else reach.groups,
            partners=reach.partners,
        )
