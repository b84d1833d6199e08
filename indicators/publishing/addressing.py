"""The audiences of one batch: what it names, what each object's marking makes of it, found once per marking."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from uuid import UUID

import msgspec
from django.conf import settings

from exchange.errors import Refused
from indicators.publishing.attributing import moves_pseudonym
from indicators.publishing.reach import Reach
from indicators.stix import vocabulary
from indicators.stix.drafts import Draft, Refusal
from indicators.stored import Version
from partners import sources
from partners.attribution import Attribution
from partners.audiences import AudienceSpec, Shown, Standing, bounded
from partners.defaults import DefaultAudience
from partners.models import Audience, Group
from partners.sharing import addressed, check, default_reach, may_share
from partners.tlp import Tlp
from partners.viewer import Viewer


class Destination(msgspec.Struct, frozen=True):
    """Where a draft goes. What only withdraws, from where it is, needs no leave and no second person."""

    audience_id: int
    spec: AudienceSpec
    withdraws: bool = False
    asked: Reach | None = None  # of what waits for a definition: where it goes once its marking is known


class Going(msgspec.Struct, frozen=True):
    """Where a draft is to go; `keeps`: that is where the version lies which is held."""

    spec: AudienceSpec
    keeps: bool = False
    withdraws: bool = False


_ATTRIBUTIONS = {one.word: one for one in Attribution}


class BatchAudiences:
    """The audiences and policies of one batch, found once per marking."""

    def __init__(self, by: Viewer, reach: Reach, *, stands: Standing, withdrawing: bool = False) -> None:
        """With `withdrawing`, what the rule says against the named audience is said per object, not at once."""
        self._by = by
        self._reach = reach
        self._stands = stands
        self._specs: dict[Tlp, AudienceSpec | Refused] = {}
        self._kept: dict[int, AudienceSpec | Refused] = {}
        self._rows: dict[int, AudienceSpec] = {}
        self._ids: dict[AudienceSpec, int] = {}
        self._others: dict[Reach, BatchAudiences | Refused] = {}
        self._left: dict[UUID, str] = {}
        self._policies: dict[Tlp, str] = {}
        if reach.named:  # a batch that may not go where it says is refused before any object is looked at
            named = self.named(reach.tlp if reach.tlp is not None else Tlp.AMBER_STRICT)
            if not withdrawing:  # without a marking of the batch, each object's own is held against the ceiling
                check(by, named if reach.tlp is not None else replace(named, tlp=Tlp.RED), stands=self._stands)

    def named(self, tlp: Tlp) -> AudienceSpec:
        """The audience that the batch names, whether or not it may go there now. Raises as `addressed`."""
        reach = self._reach
        return addressed(self._by, tlp=tlp, everyone=reach.everyone, groups=reach.groups, partners=reach.partners)

    def marking(self, draft: Draft) -> Tlp:
        """The object's own marking, or the publisher's default; the batch's marking may only narrow it.

        RED while one of its markings leads nowhere.
        """
        return Tlp.RED if draft.unresolved else self._known_marking(draft)

    def _known_marking(self, draft: Draft) -> Tlp:
        own = Tlp.from_word(draft.tlp) if draft.tlp else None
        if own is None:
            return self._reach.tlp if self._reach.tlp is not None else self._by.default_tlp
        return own if self._reach.tlp is None else max(own, self._reach.tlp)

    @property
    def lasting(self) -> Reach:
        """What the batch asks for, to be kept: the default audience of now in place of none."""
        default = self._by.default_audience
        if self._reach.named or self._reach.default or default is None:
            return self._reach
        return replace(
            self._reach,
            default=True,
            everyone=default.open_to_everyone,
            groups=tuple(group for group in default.groups if group in self._by.group_ids),
            partners=default.partners,
        )

    @property
    def names(self) -> bool:
        """Whether the batch says who may see it, or how it is marked."""
        return self._reach.named or self._reach.tlp is not None

    def attribution(self, draft: Draft) -> Attribution | None:
        """How the batch and the object want its source to be shown: as the more reserved says; None if neither does."""
        asked = self._reach.attribution
        word = vocabulary.attribution_of(draft.data)
        if word is None:
            return asked
        own = _ATTRIBUTIONS[word]
        return own if asked is None else max(asked, own)

    def inherits(self, draft: Draft, *, held_tlp: int) -> bool:
        """Whether a revision names neither another audience nor another marking than the version that is held."""
        if self.names:
            return False
        if draft.unresolved:
            return held_tlp == Tlp.RED
        return draft.tlp is None or Tlp.from_word(draft.tlp) == held_tlp

    def destination(
        self,
        draft: Draft,
        *,
        held: Version | None,
        source: Attribution,
        waited: Reach | None = None,
        about: Sequence[Sequence[Shown]] = (),
    ) -> Destination | Refusal:
        """Where a draft goes: as its batch says; a revision that says nothing new keeps the audience it had.

        What is held and waits for a definition goes where its own push asked (`waited`), if this one asks for nothing.
        A withdrawal reaches those who hold the object even where nothing new may go any more. What is said of others'
        objects (`about`) goes no further than they do.
        """
        goes = self.goes_to(draft, held=held, source=source, waited=waited, about=about)
        if isinstance(goes, Refusal):
            return goes
        if held is not None and goes.keeps:
            return Destination(held.audience_id, goes.spec, withdraws=goes.withdraws)
        try:
            audience_id = self.intern(goes.spec, source)
        except Refused as refused:
            return Refusal(refused.code, "", refused.detail)
        return Destination(
            audience_id,
            goes.spec,
            withdraws=goes.withdraws and held is not None and audience_id == held.audience_id,
            asked=self._asked(held, waited) if draft.unresolved else None,
        )

    def goes_to(
        self,
        draft: Draft,
        *,
        held: Version | None,
        source: Attribution,
        waited: Reach | None = None,
        about: Sequence[Sequence[Shown]] = (),
    ) -> Going | Refusal:
        """The same, before it goes: nothing is stored for it."""
        if draft.unresolved and source == Attribution.PSEUDONYM:
            return _PSEUDONYM_WAITS
        spec, keeps = self._goes_to(draft, held, waited)
        withdraws = draft.revoked and held is not None and not held.revoked
        if isinstance(spec, Refused):
            return Refusal(spec.code, "/object_marking_refs", spec.detail)
        if about and not (withdraws and keeps):
            within = self._within(draft, spec, about, keeps=keeps)
            if isinstance(within, Refusal):
                return within
            spec, keeps = within, keeps and within == spec
        if held is not None and not keeps and (refusal := moves_pseudonym(held, spec)) is not None:
            return refusal
        return Going(spec, keeps=keeps, withdraws=withdraws)

    def _within(
        self, draft: Draft, spec: AudienceSpec, about: Sequence[Sequence[Shown]], *, keeps: bool
    ) -> AudienceSpec | Refusal:
        """The audience of what is said of others' objects: theirs at most, and where it names none their publishers."""
        if draft.unresolved:
            return _SAID_WAITS
        publishers = {one.publisher for several in about for one in several if one.publisher is not None}
        named = self._reach.named and not keeps
        within = bounded(spec, about, publishers=() if named else publishers - {self._by.partner_id})
        if named and (within.everyone, within.groups, within.partners) != (spec.everyone, spec.groups, spec.partners):
            return _BEYOND[draft.stix_type]
        return within

    def once_known(self, draft: Draft, asked: Reach) -> AudienceSpec | Refused:
        """The audience that what waits may come to have: as its push asked, with the marking that is known so far."""
        audiences = self._other(asked)
        return audiences if isinstance(audiences, Refused) else audiences.under_known_marking(draft)

    def under_known_marking(self, draft: Draft) -> AudienceSpec | Refused:
        """The audience of a draft as if each of its markings were known."""
        return self._of_marking(self._known_marking(draft))

    def of_draft(self, draft: Draft) -> AudienceSpec | Refused:
        """The audience of a draft that enters now; what waits goes to the named partners alone."""
        if not draft.unresolved:
            return self._of_marking(self.marking(draft))
        return _attempt(lambda: self._while_it_waits(self._known_marking(draft)))

    def policy(self, draft: Draft, *, held: Version | None = None, waited: Reach | None = None) -> str:
        """The strictest policy of the place where a draft will be; of what waits, also of where it is to go then.

        `held` is the newest version of its holding, and `waited` what the push of that asked for, if it waits.
        """
        if held is None and waited is None and not draft.unresolved:  # nearly all: by nothing but its marking
            tlp = self.marking(draft)
            if tlp not in self._policies:
                self._policies[tlp] = self.policy_of(self._of_marking(tlp))
            return self._policies[tlp]
        specs = [self._goes_to(draft, held, waited)[0]]
        if draft.unresolved:
            specs.append(self.under_known_marking(draft))
        policies = {self.policy_of(spec) for spec in specs}
        return max(policies, key=lambda policy: policy == Group.Policy.CLOSED_FACTS)

    def policy_of(self, spec: AudienceSpec | Refused) -> str:
        """The strictest policy among the groups of an audience; for everyone and named partners the operator's.

        Of an audience that may not be it is the laxest: nothing gets there, and why not is what its publisher is told.
        """
        if isinstance(spec, Refused):
            return Group.Policy.OPEN_CTI
        closed = Group.Policy.CLOSED_FACTS
        policies = {self._policy_of_group(group) for group in spec.groups}
        if spec.everyone or spec.partners:
            policies.add(settings.OPEN_POLICY)
        return closed if closed in policies else Group.Policy.OPEN_CTI

    def _policy_of_group(self, group_id: UUID) -> str:
        """Also of a group that the publisher has left, where something of its still is."""
        known = self._stands.groups.get(group_id)
        if known is not None:
            return known.policy
        if group_id not in self._left:
            self._left[group_id] = Group.objects.values_list("policy", flat=True).get(pk=group_id)
        return self._left[group_id]

    def _goes_to(self, draft: Draft, held: Version | None, waited: Reach | None) -> tuple[AudienceSpec | Refused, bool]:
        """The audience that a draft will have, and whether it is that of the version which is held."""
        if held is None:
            return self._wanted(draft, waited), False
        withdraws = draft.revoked and not held.revoked
        if waited is None and self.inherits(draft, held_tlp=held.tlp):
            return self.as_held(held.audience_id) if withdraws else self._of_held(held.audience_id), True
        spec = self._wanted(draft, waited)
        if withdraws and self.marking(draft) <= held.tlp and (isinstance(spec, Refused) or not self.names):
            return self.as_held(held.audience_id), True  # what ends is shown to nobody else by that
        return spec, False

    def _wanted(self, draft: Draft, waited: Reach | None) -> AudienceSpec | Refused:
        """The audience that the batch names, or that the push asked for of which the object still waits."""
        if waited is None or self.names:
            return self.of_draft(draft)
        audiences = self._other(waited)
        return audiences if isinstance(audiences, Refused) else audiences.of_draft(draft)

    def _asked(self, held: Version | None, waited: Reach | None) -> Reach:
        """Where what waits goes once its marking is known: never further than the audience that the holding had."""
        if self._reach.named:
            return self._reach
        if waited is not None and not self.names:
            return waited
        if held is not None and not held.withdrawn and not self.names:
            had = self.as_held(held.audience_id)
            return Reach(named=True, tlp=had.tlp, everyone=had.everyone, groups=had.groups, partners=had.partners)
        return self.lasting

    def _other(self, reach: Reach) -> BatchAudiences | Refused:
        """The audiences of another push of the same publisher."""
        if reach not in self._others:
            try:
                self._others[reach] = BatchAudiences(self._by, reach, stands=self._stands, withdrawing=True)
            except Refused as refused:
                self._others[reach] = refused
        return self._others[reach]

    def spec(self, tlp: Tlp) -> AudienceSpec:
        """The audience of objects with this marking, not yet stored. Raises Refused where it may not be."""
        found = self._of_marking(tlp)
        if isinstance(found, Refused):
            raise found
        return found

    def intern(self, spec: AudienceSpec, source: Attribution) -> int:
        """The id of an audience whose source is shown like this. Raises Refused where it cannot be."""
        spec = spec if spec.attribution is source else replace(spec, attribution=source)
        if spec not in self._ids:
            known = self._stands.audiences.get(spec) if source is Attribution.NAMED else None
            self._ids[spec] = sources.intern(self._by, spec) if known is None else known
        return self._ids[spec]

    @property
    def groups(self) -> Mapping[UUID, Group]:
        """The publisher's groups."""
        return self._stands.groups

    @property
    def specs(self) -> Mapping[int, AudienceSpec]:
        """The audiences that it has used, by id."""
        return {pk: spec for spec, pk in {**self._stands.audiences, **self._ids}.items()}

    def _of_marking(self, tlp: Tlp) -> AudienceSpec | Refused:
        if tlp not in self._specs:
            self._specs[tlp] = _attempt(lambda: self._decide(tlp))
        return self._specs[tlp]

    def _of_held(self, audience_id: int) -> AudienceSpec | Refused:
        """The audience that a holding has, asked of the rule as if it were named now: not of how it stood before."""
        if audience_id not in self._kept:
            kept = self.as_held(audience_id)
            self._kept[audience_id] = _attempt(
                lambda: may_share(
                    self._by,
                    tlp=kept.tlp,
                    everyone=kept.everyone,
                    groups=kept.groups,
                    partners=kept.partners,
                    stands=self._stands,
                )
            )
        return self._kept[audience_id]

    def as_held(self, audience_id: int) -> AudienceSpec:
        """The audience that a holding has, whoever may share there now; without its attribution."""
        if not self._rows:
            self._rows = {
                pk: replace(spec, attribution=Attribution.NAMED) for spec, pk in self._stands.audiences.items()
            }
        if audience_id not in self._rows:
            row = Audience.objects.get(pk=audience_id)
            self._rows[audience_id] = AudienceSpec(
                Tlp(row.tlp), everyone=row.everyone, groups=tuple(row.groups), partners=tuple(row.partners)
            )
        return self._rows[audience_id]

    def _while_it_waits(self, known: Tlp) -> AudienceSpec:
        """The audience of what is RED only until its definition is known, and marked so far as `known`."""
        reach = self._reach
        if not reach.named and not reach.default and self._by.default_audience is None:
            return default_reach(self._by, Tlp.RED)  # refuses
        partners, stands = self.lasting.partners, self._stands
        return may_share(
            self._by, tlp=Tlp.RED, everyone=False, groups=(), partners=partners, stands=stands, known=known
        )

    def _decide(self, tlp: Tlp) -> AudienceSpec:
        """The audience under a marking."""
        reach = self._reach
        if not reach.named:
            default = DefaultAudience(reach.everyone, reach.groups, reach.partners) if reach.default else None
            return default_reach(self._by, tlp, stands=self._stands, default=default)
        return may_share(
            self._by,
            tlp=tlp,
            everyone=reach.everyone,
            groups=reach.groups,
            partners=reach.partners,
            stands=self._stands,
        )


_PSEUDONYM_WAITS = Refusal(
    "marking-unresolved",
    "/object_marking_refs",
    "Under a pseudonym, send the definition of each marking first: a pseudonym stays in its group.",
)
_SAID_WAITS = Refusal(
    "marking-unresolved",
    "/object_marking_refs",
    "Of others' objects, send the definition of each marking first: what is said of them goes no further than they do.",
)
_FURTHER = "It would go further than what it is about, as far as you may know: name no audience, or fewer."
_BEYOND = {
    "opinion": Refusal("beyond-object", "/object_refs", _FURTHER),
    "sighting": Refusal("beyond-object", "/sighting_of_ref", _FURTHER),
}


def _attempt(decide: Callable[[], AudienceSpec]) -> AudienceSpec | Refused:
    try:
        return decide()
    except Refused as refused:
        return refused
