"""What becomes of a partner's objects when it leaves: taken back, or handed over to an heir, by its choice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from uuid import UUID

from django.db import transaction

from indicators import stored
from indicators.ending import withdrawing
from indicators.log import changes
from indicators.models import Change, Holding
from indicators.opinions import flooding, recording, tallying
from indicators.publishing import storing
from indicators.telling import notifying
from partners.audiences import AudienceSpec
from partners.keys.auth import viewer_whatever_state
from partners.log import audit
from partners.models import Audience
from partners.sharing import intern_audience, intern_withdrawn
from partners.tlp import Tlp
from partners.viewer import Viewer


@transaction.atomic
def withdraw_everything(partner_id: UUID) -> int:
    """Take back all that a partner holds; returns how many holdings. Whoever held them is told to drop them."""
    partner = viewer_whatever_state(partner_id)
    storing.lock_publisher(partner_id)
    held = storing.held_by(partner_id)
    if held:
        withdrawing.withdraw_on_behalf(partner, held)
    return len(held)


@transaction.atomic
def hand_over(partner_id: UUID, heir_id: UUID) -> int:
    """Make `heir_id` the publisher of all that a partner holds; returns how many holdings it took over.

    What the heir holds itself is withdrawn instead, for it has its own word on that, and so is what was published
    without the partner's name, for the heir's would tell whose it was. Audiences stay, but for groups that the heir
    is not in. What others say of it, and what they met of it, stays with it. Every reader is told that the partner's
    statement is gone; whoever sees the heir's, of that: in this order, so that nobody is without it for longer than a
    page.
    """
    partner, heir = viewer_whatever_state(partner_id), viewer_whatever_state(heir_id)
    for publisher in sorted({partner_id, heir_id}):
        storing.lock_publisher(publisher)
    ids = storing.held_by(partner_id)
    of_partner = storing.versions(partner_id, ids)
    unnamed = {stix_id for stix_id, holding in of_partner.items() if any(one.attribution for one in holding.values())}
    staying = set(storing.versions(heir_id, ids)) | unnamed
    if kept := [stix_id for stix_id in ids if stix_id in staying]:
        withdrawing.withdraw_on_behalf(partner, kept)
    handed = [stix_id for stix_id in ids if stix_id not in staying]
    versions = [
        held
        for stix_id, holding in sorted(of_partner.items())
        for held in holding.values()
        if stix_id not in staying and not held.withdrawn
    ]
    audiences = _audiences(heir, partner, {held.audience_id for held in versions})
    audience_of = {held.holding_id: audiences[held.audience_id] for held in versions}
    nobody = intern_withdrawn(partner_id)
    became = storing.hand_over(heir_id, audience_of, [held.object_id for held in versions])
    recording.hand_over(became, heir_id=heir_id)
    tallying.hand_over(became, heir_id=heir_id)
    flooding.hand_over(became)
    storing.turn([storing.Turned(holding, nobody, Holding.State.WITHDRAWN, None) for holding in became])
    audit.record(
        audit.Verb.OBJECTS_HANDED_OVER, by=partner, target=f"partner:{heir.partner_slug}", ids=handed, withdrawn=kept
    )
    newest = (held for held in versions if held.latest)
    gone = changes.removes(newest, Change.Reason.WITHDRAWN)
    changes.append([*gone, *_taken_over(versions, became, audiences)])
    transaction.on_commit(notifying.hint, robust=True)
    return len(handed)


def _audiences(heir: Viewer, partner: Viewer, before: Iterable[int]) -> dict[int, int]:
    """For each audience of the partner's the one of the heir's that takes its place."""
    return {
        held.pk: intern_audience(
            heir,
            AudienceSpec(
                Tlp(held.tlp),
                everyone=held.everyone,
                groups=tuple(group for group in held.groups if group in heir.group_ids),
                partners=tuple(sorted(set(held.partners) - {heir.partner_id, partner.partner_id})),
            ),
        )
        for held in Audience.objects.filter(pk__in=list(before)).order_by("pk")
    }


def _taken_over(
    versions: Iterable[stored.Version], became: Mapping[int, int], audiences: Mapping[int, int]
) -> list[changes.NewChange]:
    return [
        changes.NewChange(
            became[held.holding_id],
            held.object_id,
            audiences[held.audience_id],
            Change.Op.UPSERT,
            Change.Reason.REVISED,
            again=True,
        )
        for held in versions
    ]


def settle(partner_id: UUID, heir_id: UUID | None) -> None:
    """What becomes of the objects of a partner that leaves: they go to its heir, or back to it alone."""
    if heir_id is None:
        withdraw_everything(partner_id)
    else:
        hand_over(partner_id, heir_id)
