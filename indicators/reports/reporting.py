"""Report packages: what a recipient may see of a campaign, prepared by one person, released by another.

    root -> what it refers to, and what links to it -> only what preparer and recipient both may see -> prepared
    -> another person, the same rule again -> released, a record in the log -> the recipient, the same rule again

A package is all or nothing: once anything in it has left the recipient's sight, was revoked, or is marked more strictly
than the cover says, it can be neither released nor opened, and a new one must be prepared. So what is opened is always
exactly what was released. What a schedule puts together (`scheduling`) is a draft first, which a person checks. The
only writer of ReportPackage.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import transaction
from django.db.models import Case, When

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators.models import Holding, ReportPackage, ReportSchedule, StixObject
from indicators.opinions import appealing
from indicators.publishing import accounting
from indicators.reading import gathering
from indicators.reports import packaging
from indicators.stix import objects as stix
from partners import terms
from partners.groups import bases
from partners.keys.auth import viewer_of_partner
from partners.log import audit
from partners.models import Partner, RecipientTerms, User
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_OPEN = 100
#: Who prepared what nobody has checked.
_OF_SCHEDULE = "schedule:"
_OPEN = (ReportPackage.State.DRAFTED, ReportPackage.State.PREPARED)
_STALE = (
    "Something in it was revoked, is marked more strictly now, or is out of the recipient's sight or terms:"
    " prepare it anew."
)


# --- Preparing and releasing


@dataclass(frozen=True, slots=True)
class Wish:
    """What a package is to be: for whom, of a root or, without one, of listed versions, as what, and under which terms.

    `listed` are places in the log and keys of versions, by place.
    """

    recipient: str
    root: str = ""
    listed: Iterable[tuple[int, int]] = ()
    title: str = ""
    forms: Sequence[str] = ()
    terms: UUID | None = None


def prepare(
    viewer: Viewer, *, recipient: str, root: str, forms: Sequence[str] = (), terms_id: UUID | None = None
) -> ReportPackage:
    """Put a package together for the active partner with slug `recipient`.

    Raises NotFound where the preparer sees no such root, Refused where the recipient does not see it either, is no
    recipient for it, or has no terms in force that cover it.
    """
    _require_person(viewer)
    require_preparer(viewer)
    require_root(root)
    wish = Wish(recipient, root, forms=forms, terms=terms_id)
    return _put_together(viewer, wish, prepared_by=viewer.actor, prepared_name=_name(viewer))


def draft(viewer: Viewer, wish: Wish, *, schedule: ReportSchedule) -> ReportPackage:
    """The same for a schedule: a draft, which a person checks and another releases. Raises what `prepare` raises."""
    made = f"{_OF_SCHEDULE}{schedule.pk}"
    return _put_together(viewer, wish, prepared_by=made, prepared_name=schedule.name, schedule=schedule)


def forget_drafts(schedule: ReportSchedule) -> None:
    """Discard the drafts of a schedule that nobody has checked: a newer one takes their place."""
    drafts = ReportPackage.unrestricted.filter(schedule=schedule, state=ReportPackage.State.DRAFTED)
    for one in drafts.select_for_update(of=("self",)).select_related("recipient"):
        one.state = ReportPackage.State.DISCARDED
        one.save(update_fields=["state"])
        target = f"report:{one.pk}"
        audit.record(
            audit.Verb.REPORT_DISCARDED, by=None, target=target, about=one.partner_id, recipient=one.recipient.slug
        )


def recipient_named(viewer: Viewer, slug: str) -> Partner:
    """An active partner other than the viewer's own. Raises Refused."""
    partner = Partner.objects.filter(slug=slug, state=Partner.State.ACTIVE).exclude(pk=viewer.partner_id).first()
    if partner is None:
        raise Refused("Choose an active partner other than your own.", code="unknown-partner", at="/recipient")
    return partner


def require_preparer(viewer: Viewer) -> None:
    """Raise Forbidden for all but those who publish or audit."""
    if not viewer.scopes & {Scope.AUDIT, Scope.PUBLISH}:
        raise Forbidden("This needs the scope 'audit' or 'publish'.", code="missing-scope")


def require_root(root: str) -> None:
    """Raise Refused for what no package begins with."""
    if not stix.ID.fullmatch(root) or root.partition("--")[0] not in gathering.ROOTS:
        raise Refused(f"The id of one of: {', '.join(gathering.ROOTS)}.", code="bad-root", at="/root")


def _put_together(
    viewer: Viewer, wish: Wish, *, prepared_by: str, prepared_name: str, schedule: ReportSchedule | None = None
) -> ReportPackage:
    partner = recipient_named(viewer, wish.recipient)
    if ReportPackage.objects.of(viewer).filter(state__in=_OPEN).count() >= _MAX_OPEN:
        raise Conflict(f"At most {_MAX_OPEN} packages wait for release.", code="too-many-packages")
    under, forms = agreed(partner, wish.forms, wish.terms)
    strictest = Tlp.RED if under is None else Tlp(under.strictest)
    found = (
        gathering.gather(viewer, partner, wish.root, strictest=strictest)
        if wish.root
        else gathering.gather_listed(viewer, partner, wish.listed, strictest=strictest)
    )
    if not found.held:
        raise Refused("There is nothing that the recipient may be given.", code="nothing-to-report", at="/root")
    bundle_id = uuid.uuid4()
    with transaction.atomic():
        package = ReportPackage.unrestricted.create(
            id=bundle_id,
            partner_id=viewer.partner_id,
            recipient=partner,
            state=ReportPackage.State.PREPARED if schedule is None else ReportPackage.State.DRAFTED,
            title=(wish.title or found.held[0].title)[:300],
            root=wish.root,
            forms=forms,
            terms=under,
            schedule=schedule,
            gathered_at=None if schedule is None else clock.now(),
            reached=found.reached,
            object_ids=[held.pk for held in found.held],
            bundle_sha256=hashlib.sha256(packaging.bundle(bundle_id, found.held)).digest(),
            tlp=accounting.strictest(held.audience.tlp for held in found.held),
            bases=[bases.of(group) for group in found.groups],
            ways=found.ways,
            left_out=found.left_out,
            cut=found.cut,
            appeals=appealing.statistics(viewer.partner_id),
            prepared_by=prepared_by,
            prepared_name=prepared_name,
        )
        audit.record(
            audit.Verb.REPORT_PREPARED,
            by=viewer,
            target=f"report:{package.pk}",
            recipient=partner.slug,
            objects=len(found.held),
            left_out=found.left_out,
            tlp=Tlp(package.tlp).word,
            bases=package.bases,
            **_said_of(package),
        )
    return package


def agreed(
    partner: Partner, forms: Sequence[str], terms_id: UUID | None = None
) -> tuple[RecipientTerms | None, list[str]]:
    """Under which terms a package for a partner stands today, and as what it is given. Raises Refused."""
    if not set(forms) <= set(terms.FORMS):
        raise Refused(f"Of: {', '.join(terms.FORMS)}.", code="bad-form", at="/forms")
    under = terms.chosen(terms.of(partner.pk), on=clock.now().date(), forms=forms, wanted=terms_id)
    wanted = forms or (terms.FORMS if under is None else under.forms)
    return under, [form for form in terms.FORMS if form in wanted]


def check(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """Make a draft of a schedule a package that the viewer has prepared; another person releases it.

    Raises NotFound, Forbidden for keys, Conflict if it is no draft or is stale.
    """
    _require_person(viewer)
    require_preparer(viewer)
    with transaction.atomic():
        package = _own_locked(viewer, package_id)
        if package.state != ReportPackage.State.DRAFTED:
            raise Conflict("This package is no draft.", code="not-waiting")
        if contents(viewer, package) is None:
            raise Conflict(_STALE, code="stale")
        package.state = ReportPackage.State.PREPARED
        package.prepared_by, package.prepared_name, package.prepared_at = viewer.actor, _name(viewer), clock.now()
        package.save(update_fields=["state", "prepared_by", "prepared_name", "prepared_at"])
        audit.record(
            audit.Verb.REPORT_CHECKED, by=viewer, target=f"report:{package_id}", recipient=package.recipient.slug
        )
    return package


def release(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """Let the recipient have it. Raises NotFound, Forbidden for the preparer and for keys, Conflict if it is stale."""
    _require_person(viewer)
    viewer.require(Scope.AUDIT)
    with transaction.atomic():
        package = _own_locked(viewer, package_id)
        if package.state == ReportPackage.State.DRAFTED:
            raise Conflict("It is a draft: one person checks it, and another releases it.", code="not-checked")
        if package.state != ReportPackage.State.PREPARED:
            raise Conflict("This package does not wait for release.", code="not-waiting")
        if package.prepared_by == viewer.actor:
            raise Forbidden("Another person than the one who prepared it releases it.", code="needs-another-person")
        require_within_terms(package)
        held = contents(viewer, package)  # whoever releases sees all of it, or learns nothing of who does
        if held is None:
            raise Conflict(_STALE, code="stale")
        package.state = ReportPackage.State.RELEASED
        package.released_by, package.released_name, package.released_at = viewer.actor, _name(viewer), clock.now()
        package.release = audit.record(
            audit.Verb.REPORT_RELEASED,
            by=viewer,
            target=f"report:{package.pk}",
            recipient=package.recipient.slug,
            objects=len(held),
            tlp=Tlp(package.tlp).word,
            bases=package.bases,
            bundle_sha256=bytes(package.bundle_sha256).hex(),
            **_said_of(package),
        )
        package.save(update_fields=["state", "released_by", "released_name", "released_at", "release"])
    return package


def require_within_terms(package: ReportPackage) -> None:
    """Hold the recipient's terms still until the transaction ends. Raises Conflict where they do not cover the package.

    One that was prepared before any terms were recorded is to be prepared anew under them.
    """
    Partner.objects.select_for_update(no_key=True).get(pk=package.recipient_id)  # as `terms.record` does
    under = RecipientTerms.objects.select_for_update(no_key=True).filter(reports=package).first()
    if (
        why := _outside(package, under, has_terms=under is not None or bool(terms.of(package.recipient_id)))
    ) is not None:
        raise Conflict(why[1], code=why[0])


def _outside(package: ReportPackage, under: RecipientTerms | None, *, has_terms: bool) -> tuple[str, str] | None:
    """Why a package is not within its recipient's terms today; None if it is."""
    if under is None:
        return ("no-terms", "Terms were recorded for the recipient since: prepare it anew.") if has_terms else None
    forms = package.forms or terms.FORMS
    return terms.why_outside(under, on=clock.now().date(), tlp=Tlp(package.tlp), forms=forms)


def _said_of(package: ReportPackage) -> dict[str, Any]:
    """What a record says of a package's terms and forms; nothing of one without terms."""
    return {} if package.terms is None else {"terms": terms.said(package.terms), "given_as": list(package.forms)}


def discard(viewer: Viewer, package_id: UUID) -> None:
    """Take a package back: before its release it comes to nothing, after it the recipient can open it no more."""
    _require_person(viewer)
    if not viewer.scopes & {Scope.AUDIT, Scope.PUBLISH}:
        raise Forbidden("This needs the scope 'audit' or 'publish'.", code="missing-scope")
    with transaction.atomic():
        package = _own_locked(viewer, package_id)
        if package.state == ReportPackage.State.RELEASED:
            viewer.require(Scope.AUDIT)
        if package.state == ReportPackage.State.DISCARDED:
            raise Conflict("This package is discarded already.", code="not-waiting")
        package.state = ReportPackage.State.DISCARDED
        package.save(update_fields=["state"])
        audit.record(
            audit.Verb.REPORT_DISCARDED, by=viewer, target=f"report:{package_id}", recipient=package.recipient.slug
        )


# --- Reading


def own(viewer: Viewer) -> list[tuple[ReportPackage, bool]]:
    """The packages that the viewer's partner prepared, each with whether it is still whole.

    Those that wait come first, then those that were released, then those that people took back; the newest of each
    first. Drafts that came to nothing are left out.
    """
    states = ReportPackage.State
    turn = Case(When(state__in=_OPEN, then=0), When(state=states.RELEASED, then=1), default=2)
    mine = ReportPackage.objects.of(viewer).select_related("recipient", "terms", "schedule")
    told = mine.exclude(state=states.DISCARDED, prepared_by__startswith=_OF_SCHEDULE)
    found = list(told.order_by(turn, "-prepared_at", "-pk")[: 2 * _MAX_OPEN])
    whole = _whole(found)
    wanted = {pk for package in found for pk in package.object_ids}
    seen = set(StixObject.objects.visible_to(viewer).filter(pk__in=wanted).values_list("pk", flat=True))
    return [(package, package.pk in whole and seen.issuperset(package.object_ids)) for package in found]


def own_one(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """One of them. Raises NotFound."""
    found = (
        ReportPackage.objects.of(viewer).select_related("recipient", "terms", "schedule").filter(pk=package_id).first()
    )
    if found is None:
        raise NotFound
    return found


def contents(viewer: Viewer, package: ReportPackage) -> list[StixObject] | None:
    """The objects of a package, the root first, for its own partner, which must see them, too; None if it is stale."""
    held = _still_whole(package)
    if held is None or StixObject.objects.visible_to(viewer).filter(pk__in=package.object_ids).count() != len(held):
        return None
    return held


def received(viewer: Viewer) -> list[ReportPackage]:
    """What was released to the viewer's partner and can be opened, newest first. Forbidden to a key for some groups."""
    viewer.require(Scope.READ)
    viewer.require_all_groups()
    found = list(ReportPackage.objects.released_to(viewer).order_by("-released_at", "-pk")[:_MAX_OPEN])
    whole = _whole(found)
    return [package for package in found if package.pk in whole]


def received_one(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """One of them. Raises NotFound: absent, another's, not released, and stale are one answer.

    Forbidden to a key for some groups, whatever is asked for: a package may tell of others.
    """
    viewer.require(Scope.READ)
    viewer.require_all_groups()
    found = ReportPackage.objects.released_to(viewer).filter(pk=package_id).first()
    if found is None or _still_whole(found) is None:
        raise NotFound
    return found


def open_for(viewer: Viewer, package_id: UUID) -> bytes:
    """The package as a zip, for its recipient. Raises NotFound, and Conflict until a head covers its release."""
    package = received_one(viewer, package_id)
    held = _still_whole(package)
    if held is None:
        raise NotFound
    return packaging.archive(package, held)


def _is_open(package: ReportPackage) -> bool:
    """Whether it waits: one that was released before terms were recorded is not taken back by them."""
    return package.state in _OPEN


def _own_locked(viewer: Viewer, package_id: UUID) -> ReportPackage:
    found = ReportPackage.objects.of(viewer).select_for_update(of=("self",)).filter(pk=package_id).first()
    if found is None:
        raise NotFound
    return found


def _still_whole(package: ReportPackage) -> list[StixObject] | None:
    """The objects, in order, if the recipient may be given them all at this moment, as the cover says; else None."""
    return _whole([package], bodies=True).get(package.pk)


def _whole(packages: Sequence[ReportPackage], *, bodies: bool = False) -> dict[UUID, list[StixObject]]:
    """The objects of those packages that are still whole. Seven queries for each recipient, however many packages."""
    by_recipient: dict[UUID, list[ReportPackage]] = {}
    for package in packages:
        by_recipient.setdefault(package.recipient_id, []).append(package)
    found: dict[UUID, list[StixObject]] = {}
    for recipient_id, theirs in by_recipient.items():
        reader = viewer_of_partner(recipient_id)
        if reader is None:
            continue
        wanted = {pk for package in theirs for pk in package.object_ids}
        of_holding = ("holding__audience", "holding__publisher")
        seen = StixObject.objects.visible_to(reader).filter(pk__in=wanted).select_related(*of_holding)
        by_key = {one.pk: one for one in (seen if bodies else seen.defer("body"))}
        carried = gathering.carried(reader, by_key.values())
        fit = {pk: one for pk, one in by_key.items() if pk in carried and one.holding.state != Holding.State.REVOKED}
        recorded = {one.pk: one for one in terms.of(recipient_id)}
        for package in theirs:
            under = recorded.get(package.terms_id) if package.terms_id else None
            if _outside(package, under, has_terms=bool(recorded) and _is_open(package)) is not None:
                continue
            held = [fit[pk] for pk in package.object_ids if pk in fit]
            if len(held) == len(package.object_ids) and _is_covered(package, held):
                found[package.pk] = held
    return found


def _is_covered(package: ReportPackage, held: Sequence[StixObject]) -> bool:
    """Whether the marking of the package, which its terms allow, still covers how each object is marked now."""
    return accounting.strictest(one.audience.tlp for one in held) <= package.tlp


def _require_person(viewer: Viewer) -> None:
    if not viewer.actor.startswith("user:"):
        raise Forbidden("A person does this, not a key.", code="needs-a-person")


def _name(viewer: Viewer) -> str:
    return User.objects.values_list("username", flat=True).get(pk=viewer.actor.removeprefix("user:"))
