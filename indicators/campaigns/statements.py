"""What partners say of a campaign: each its own word, beside the others', changing nobody else's view.

The only writer of CampaignStatement and CampaignAlias. A majority of the labs in a campaign moves the exchange's
proposal: it is dismissed, parted, or joined with another when most of them say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Q

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from exchange.stix import words
from indicators.campaigns import counting, proposing
from indicators.campaigns.tables import Campaign, CampaignAlias, CampaignEvent, CampaignStatement
from partners.log import audit
from partners.scopes import Scope
from partners.viewer import Viewer

_Says = CampaignStatement.Says
#: Why, of each word that can be said.
REASONS: Mapping[str, tuple[str, ...]] = {
    _Says.CONFIRM: ("confirmed_here", "same_campaign"),
    _Says.DISMISS: ("not_a_campaign", *words.REASONS_AGAINST),
    _Says.TWO: ("two_campaigns",),
    _Says.ONE: ("same_campaign",),
}
_MOST_ALIAS = 120
#: `Campaign.parted` where the worker has not found yet by how many tokens.
_TO_BE_FOUND = 1


def visible(viewer: Viewer, campaign_id: UUID) -> Campaign:
    """A campaign of a group of the viewer's that was told. Raises NotFound."""
    found = Campaign.objects.filter(pk=campaign_id, group__in=viewer.group_ids).exclude(told={}).first()
    if found is None:
        raise NotFound
    return found


@dataclass(frozen=True, slots=True)
class Stated:
    """One's partner's word, and which person or key of it said it; empty where that is not known."""

    said: CampaignStatement
    actor: str


def of_a_colleague(viewer: Viewer, campaign_id: UUID, *, says: str, reason: str, other: UUID | None) -> Stated | None:
    """The word of another person or key of the viewer's partner that this one would take the place of.

    None where there is none, it is the viewer's own or says the same. Raises as `say`.
    """
    _sayable(viewer, campaign_id, says=says, reason=reason, other=other)
    said = CampaignStatement.objects.filter(campaign=campaign_id, partner=viewer.partner_id).first()
    if said is None or (said.says, said.reason, said.other) == (says, reason, other):
        return None
    target = f"campaign:{campaign_id}"
    actor = audit.by_whom_at(audit.Verb.CAMPAIGN_STATED, target=target, partner_id=viewer.partner_id, at=said.at)
    return None if actor == viewer.actor else Stated(said, actor)


@transaction.atomic
def say(viewer: Viewer, campaign_id: UUID, *, says: str, reason: str, other: UUID | None) -> CampaignStatement:
    """Say one's partner's word of a campaign, in the place of its word before.

    Raises Forbidden, NotFound, Refused, and Conflict where the campaign has ended.
    """
    one = _sayable(viewer, campaign_id, says=says, reason=reason, other=other)
    said, _ = CampaignStatement.objects.update_or_create(
        campaign=one.pk,
        partner_id=viewer.partner_id,
        defaults={"says": says, "reason": reason, "other": other, "at": clock.now(), "of": one.told},
    )
    _record(viewer, one, says=says, reason=reason)
    move(one.pk)
    return said


def _sayable(viewer: Viewer, campaign_id: UUID, *, says: str, reason: str, other: UUID | None) -> Campaign:
    viewer.require(Scope.REACT)
    one = visible(viewer, campaign_id)
    if says not in REASONS:
        raise Refused(f"One of: {', '.join(REASONS)}.", code="bad-choice", at="/says")
    if reason not in REASONS[says]:
        raise Refused(f"One of: {', '.join(REASONS[says])}.", code="bad-choice", at="/reason")
    if (says == _Says.ONE) != (other is not None):
        raise Refused("The other campaign, with `one` and only then.", code="bad-other", at="/other")
    if other is not None and (other == one.pk or visible(viewer, other).group_id != one.group_id):
        raise Refused("Another campaign of the same group.", code="bad-other", at="/other")
    if one.state == Campaign.State.ENDED and not one.dismissed:
        raise Conflict("This campaign has ended.", code="campaign-ended")
    return one


@transaction.atomic
def unsay(viewer: Viewer, campaign_id: UUID) -> None:
    """Take one's partner's word back. Raises Forbidden, NotFound."""
    viewer.require(Scope.REACT)
    one = visible(viewer, campaign_id)
    if not CampaignStatement.objects.filter(campaign=one.pk, partner=viewer.partner_id).delete()[0]:
        raise NotFound
    _record(viewer, one, says="nothing", reason="")
    move(one.pk)


def move(campaign_id: UUID) -> None:
    """Move the exchange's proposal to what most of the labs in it say, and back when they no longer do.

    None: it is dismissed. Two: it is parted. One with another: they are joined, if most of the labs in either say so.
    """
    one = Campaign.objects.select_for_update(no_key=True).get(pk=campaign_id)
    _dismiss(one)
    _part(one)
    _join(one)


def _most(one: Campaign, says: str) -> bool:
    said = CampaignStatement.objects.filter(campaign=one.pk, says=says, partner__in=list(one.labs))
    return 2 * said.count() > len(one.labs) > 0


def _dismiss(one: Campaign) -> None:
    dismissed = _most(one, _Says.DISMISS)
    if dismissed == one.dismissed:
        return
    one.dismissed, one.changed_at, one.due = dismissed, clock.now(), clock.now()
    one.save(update_fields=["dismissed", "changed_at", "due"])
    counting.event(one.pk, CampaignEvent.Kind.DISMISSED if dismissed else CampaignEvent.Kind.TAKEN_UP)


def _part(one: Campaign) -> None:
    """Those that were parted are two until most of the labs of one of them no longer say so of either."""
    wanted = _most(one, _Says.TWO)
    if wanted and one.spans:  # what was joined because labs said so is parted by saying otherwise
        Campaign.objects.filter(pk=one.pk).update(one_with=one.pk)
    elif wanted and not one.parted:
        Campaign.objects.filter(pk=one.pk).update(parted=_TO_BE_FOUND)
    elif one.parted and not wanted and (one.parted == _TO_BE_FOUND or _parts_of(one)):
        Campaign.objects.filter(pk__in=[one.pk, *_parts_of(one)]).update(parted=0)
    else:
        return
    _look_again(one)


def _parts_of(one: Campaign) -> list[UUID]:
    split = CampaignEvent.objects.filter(campaign=one.pk, kind=CampaignEvent.Kind.SPLIT, other__isnull=False)
    return [other for other in split.values_list("other", flat=True) if other is not None]


def _join(one: Campaign) -> None:
    """With the other campaign that most of the labs in either call one with it."""
    pairs = CampaignStatement.objects.filter(says=_Says.ONE).filter(Q(campaign=one.pk) | Q(other=one.pk))
    others = [each for said in pairs for each in (said.other, said.campaign) if each is not None and each != one.pk]
    for other in Campaign.objects.filter(pk__in=others, group=one.group_id, state=Campaign.State.LIVE).order_by("pk"):
        labs = {*one.labs, *other.labs}
        saying = {str(said.partner_id) for said in pairs if {said.campaign, said.other} == {one.pk, other.pk}}
        if 2 * len(saying & labs) > len(labs):
            Campaign.objects.filter(pk=one.pk).update(one_with=other.pk)
            _look_again(one)
            return


def _look_again(one: Campaign) -> None:
    proposing.look_again(one.pk)
    transaction.on_commit(proposing.hint)


def called(viewer: Viewer, campaign_id: UUID) -> str:
    """The name that the viewer's partner gave it, or none. Raises NotFound."""
    one = visible(viewer, campaign_id)
    given = CampaignAlias.objects.filter(campaign=one.pk, partner_id=viewer.partner_id)
    return given.values_list("alias", flat=True).first() or ""


@transaction.atomic
def call(viewer: Viewer, campaign_id: UUID, alias: str) -> None:
    """Give a campaign a name that one's own partner alone sees; an empty one takes it away. Raises as `say`."""
    viewer.require(Scope.REACT)
    one = visible(viewer, campaign_id)
    alias = " ".join(alias.split())
    if len(alias) > _MOST_ALIAS or not alias.isprintable():
        raise Refused(f"At most {_MOST_ALIAS} characters.", code="too-long", at="/alias")
    if alias:
        CampaignAlias.objects.update_or_create(campaign=one.pk, partner_id=viewer.partner_id, defaults={"alias": alias})
    else:
        CampaignAlias.objects.filter(campaign=one.pk, partner=viewer.partner_id).delete()


def of(viewer: Viewer, one: Campaign) -> list[dict[str, Any]]:
    """What partners say of a campaign that the viewer sees, by name; and whether it has changed since."""
    said = CampaignStatement.objects.filter(campaign=one.pk).select_related("partner").order_by("partner__name")
    return [
        {
            "partner": {"slug": each.partner.slug, "name": each.partner.name},
            "says": each.says,
            "reason": each.reason,
            "other": each.other,
            "at": clock.rfc3339(each.at),
            "changed_since": each.of != one.told,
        }
        for each in said
    ]


def _record(viewer: Viewer, one: Campaign, *, says: str, reason: str) -> None:
    audit.record(audit.Verb.CAMPAIGN_STATED, by=viewer, target=f"campaign:{one.pk}", says=says, reason=reason)
