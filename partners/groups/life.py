"""The life of a partner: invited, active, suspended and active again, left. Writes its state, and HandOver.

Only the operator invites, suspends and reinstates: an admin of its own, a key with the scope `admin`, or a command on
its machine. A partner's own admin makes it leave. Authentication asks for the state on every request, so a suspension
holds from its commit on, on every plane; who waits is woken to learn it.
What becomes of the objects of a partner that leaves, the application above says by `when_leaving`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError, transaction

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from exchange.lookalikes import fold
from partners import locks, sight, waking
from partners.groups import membership, naming
from partners.groups.registering import register_partner
from partners.log import audit
from partners.models import HandOver, Partner
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_THERE = "partner-exists"
_OPEN = (HandOver.State.OFFERED, HandOver.State.ACCEPTED)

#: Called with the leaving partner's id and its heir's, or None where its objects are to be withdrawn.
Leaving = Callable[[UUID, UUID | None], None]
_followers: list[Leaving] = []


def when_leaving(follower: Leaving) -> None:
    """Have `follower` called for each partner that leaves, in the transaction in which it does."""
    if follower not in _followers:
        _followers.append(follower)


def require_operator(by: Viewer) -> None:
    """Raise NotFound for all but the operator's admins in person: to everybody else there is nothing here."""
    if not by.operates:
        raise NotFound


def require_operator_or_key(by: Viewer) -> None:
    """Raise NotFound for all but the operator: an admin in person, a key with the scope `admin`, or a command."""
    if not by.is_operator:
        raise NotFound


#: Of which kinds the operator invites partners.
INVITED = (Partner.Kind.LAB, Partner.Kind.ALLY, Partner.Kind.RECIPIENT)


def register_operator(name: str, slug: str) -> Partner:
    """Register the operator of an empty exchange; it takes part once its first admin has accepted.

    The same operator is returned for as long as it has no admin. Raises Refused, Conflict.
    """
    there = Partner.objects.filter(kind=Partner.Kind.OPERATOR).first()
    if there is not None and there.state != Partner.State.INVITED:
        raise Conflict("The exchange has its operator.", code="operator-exists")
    return there or _register(name, slug, Partner.Kind.OPERATOR, by=None)


def invite_partner(name: str, slug: str, kind: Partner.Kind | str, by: Viewer) -> Partner:
    """Register a partner that takes part once it is activated. Raises NotFound, Refused, Conflict."""
    require_operator_or_key(by)
    if kind not in INVITED:
        raise Refused("A lab, an ally or a recipient.", code="bad-kind", at="/kind")
    return _register(name, slug, Partner.Kind(kind), by=by)


def _register(name: str, slug: str, kind: Partner.Kind, *, by: Viewer | None) -> Partner:
    name = " ".join(name.split())
    least, most = naming.NAME_CHARS
    if not least <= len(name) <= most or not name.isprintable():
        raise Refused(naming.NAME_WORDS, code="bad-name", at="/name")
    if not naming.SLUG.fullmatch(slug):
        raise Refused(naming.SLUG_WORDS, code="bad-slug", at="/slug")
    if kind != Partner.Kind.OPERATOR and {fold(name), fold(slug)} & naming.taken():
        raise Conflict("A partner of this name, or of one that looks like it, is there already.", code=_THERE)
    try:
        with transaction.atomic():
            partner = register_partner(name=name, slug=slug, kind=kind, state=Partner.State.INVITED, by=by)
            about = None if by else partner.pk
            audit.record(audit.Verb.PARTNER_INVITED, by=by, target=f"partner:{slug}", about=about, kind=partner.kind)
    except IntegrityError:
        raise Conflict("A partner of this name or short name is there already.", code=_THERE) from None
    return partner


def activate(partner: Partner, *, by: Viewer | None = None) -> None:
    """Let an invited partner take part, once its first admin has accepted. Raises Conflict in any other state."""
    with transaction.atomic():
        _move(partner, Partner.State.ACTIVE, out_of=(Partner.State.INVITED,))
        _tell(audit.Verb.PARTNER_ACTIVATED, partner, by=by)


def suspend(partner: Partner, *, by: Viewer, why: str) -> None:
    """Nothing new in or out for this partner from now on; what it shared stays with its audience, marked.

    Raises NotFound, Refused, Conflict.
    """
    require_operator_or_key(by)
    if partner.pk == by.partner_id:
        raise Refused("The operator does not suspend itself.", code="own-partner", at="/partner")
    why = reason(why)
    with transaction.atomic():
        locks.standing_alone([partner.pk])
        _move(partner, Partner.State.SUSPENDED, out_of=(Partner.State.ACTIVE,), suspended_why=why)
        _tell(audit.Verb.PARTNER_SUSPENDED, partner, by=by, why=why)
        waking.wake()


def reinstate(partner: Partner, *, by: Viewer) -> None:
    """Let a suspended partner take part again, with its groups, keys and people. Raises NotFound, Conflict."""
    require_operator_or_key(by)
    with transaction.atomic():
        _move(partner, Partner.State.ACTIVE, out_of=(Partner.State.SUSPENDED,), suspended_why="")
        _tell(audit.Verb.PARTNER_REINSTATED, partner, by=by)


def offer_hand_over(by: Viewer, heir: Partner) -> HandOver:
    """Offer another partner to take over this one's objects when it leaves. Raises Forbidden, Refused, Conflict."""
    _require_admin_in_person(by)
    if (
        heir.pk == by.partner_id
        or heir.kind in {Partner.Kind.ALLY, Partner.Kind.RECIPIENT}
        or heir.state != Partner.State.ACTIVE
    ):
        raise Refused("An active partner that publishes, other than yourselves.", code="bad-heir", at="/heir")
    try:
        with transaction.atomic():
            offer = HandOver.objects.create(partner_id=by.partner_id, heir=heir, offered_by=by.actor)
            audit.record(audit.Verb.HAND_OVER_OFFERED, by=by, target=f"partner:{heir.slug}", offer=str(offer.pk))
    except IntegrityError:
        raise Conflict("You have made an offer already; withdraw it first.", code="offer-open", at="/heir") from None
    return offer


def answer_hand_over(by: Viewer, offer_id: UUID, *, accept: bool) -> None:
    """Say whether one's own partner will take the objects over. Raises Forbidden, NotFound, Conflict."""
    _require_admin_in_person(by)
    mine = HandOver.objects.filter(pk=offer_id, heir=by.partner_id)
    if not mine.exists():
        raise NotFound
    state = HandOver.State.ACCEPTED if accept else HandOver.State.CLOSED
    with transaction.atomic():
        answered = mine.filter(state=HandOver.State.OFFERED).update(
            state=state, answered_by=by.actor, answered_at=clock.now()
        )
        if not answered:
            raise Conflict("This offer is no longer open.", code="offer-closed")
        audit.record(audit.Verb.HAND_OVER_ANSWERED, by=by, target=f"hand-over:{offer_id}", accepted=accept)


def withdraw_offer(by: Viewer) -> None:
    """Take the open offer back, accepted or not. Raises Forbidden, NotFound."""
    _require_admin_in_person(by)
    with transaction.atomic():
        if not HandOver.objects.filter(partner=by.partner_id, state__in=_OPEN).update(state=HandOver.State.CLOSED):
            raise NotFound
        audit.record(audit.Verb.HAND_OVER_WITHDRAWN, by=by, target=f"partner:{by.partner_slug}")


def open_offer(by: Viewer) -> HandOver | None:
    """The partner's own open offer, if it has made one."""
    return HandOver.objects.filter(partner=by.partner_id, state__in=_OPEN).select_related("heir").first()


def offers_to(by: Viewer) -> list[HandOver]:
    """Offers that wait for the answer of the viewer's partner, or that it accepted."""
    offers = HandOver.objects.filter(heir=by.partner_id, state__in=_OPEN, partner__state=Partner.State.ACTIVE)
    return list(offers.select_related("partner").order_by("offered_at", "pk"))


def leave(partner: Partner, *, by: Viewer, hand_over_to: Partner | None = None) -> None:
    """Leave the exchange for good: objects are withdrawn, or go to an heir that has accepted them.

    Groups are left and open proposals of theirs decided without it. Raises Forbidden, NotFound, Conflict.
    """
    _require_admin_in_person(by)
    if partner.pk != by.partner_id:
        raise NotFound
    if partner.kind == Partner.Kind.OPERATOR:
        raise Refused("The operator runs the exchange; it does not leave it.", code="own-partner", at="/partner")
    heir_id = hand_over_to.pk if hand_over_to else None
    with sight.changing([partner.pk]):
        if heir_id is not None:
            accepted = HandOver.objects.filter(
                partner=partner.pk, heir=heir_id, heir__state=Partner.State.ACTIVE, state=HandOver.State.ACCEPTED
            )
            if not accepted.update(state=HandOver.State.DONE):
                raise Conflict("The heir has not accepted.", code="not-accepted", at="/heir")
        HandOver.objects.filter(partner=partner.pk, state__in=_OPEN).update(state=HandOver.State.CLOSED)
        HandOver.objects.filter(heir=partner.pk, state__in=_OPEN).update(state=HandOver.State.CLOSED)
        for follower in _followers:
            follower(partner.pk, heir_id)
        membership.leave_all(partner, by=by)
        _move(partner, Partner.State.LEFT, out_of=(Partner.State.ACTIVE,))
        heir = hand_over_to.slug if hand_over_to else None
        audit.record(audit.Verb.PARTNER_LEFT, by=by, target=f"partner:{partner.slug}", heir=heir)


def set_clearance(partner: Partner, clearance: Tlp, *, by: Viewer) -> None:
    """Say what is the strictest marking that a partner may receive. Raises NotFound."""
    require_operator(by)
    with sight.changing([partner.pk]):
        Partner.objects.filter(pk=partner.pk).update(clearance=clearance)
        _tell(audit.Verb.CLEARANCE_CHANGED, partner, by=by, clearance=clearance.word)


def _tell(verb: audit.Verb, partner: Partner, *, by: Viewer | None, **details: Any) -> None:
    """Write it into the partner's log, and into that of who did it."""
    for about in sorted({partner.pk, by.partner_id if by else partner.pk}):
        audit.record(verb, by=by, target=f"partner:{partner.slug}", about=about, **details)


def reason(why: str) -> str:
    """A reason that is to be kept. Raises Refused where there is none."""
    why = " ".join(why.split())
    if not 1 <= len(why) <= 500:
        raise Refused("Say why, in at most 500 characters.", code="no-reason", at="/why")
    return why


def _move(partner: Partner, state: Partner.State, *, out_of: tuple[Partner.State, ...], **fields: str) -> None:
    """From one state to another, once. Raises Conflict if it is in none of the states to start from."""
    changed = Partner.objects.filter(pk=partner.pk, state__in=out_of).update(
        state=state, state_since=clock.now(), **fields
    )
    if not changed:
        raise Conflict("The partner is not in a state from which this can be done.", code="wrong-state")
    partner.state = state


def _require_admin_in_person(by: Viewer) -> None:
    by.require(Scope.ADMIN)
    if not by.is_person:
        raise Forbidden("A person does this, not a key.", code="needs-a-person")
