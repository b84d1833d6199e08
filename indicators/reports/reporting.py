"""Report packages: what a recipient may see of a campaign, prepared by one person, released by another.

    root -> what it refers to, and what links to it -> only what preparer and recipient both may see -> prepared
    -> another person, the same rule again -> released, a record in the log -> the recipient, the same rule again

A package is all or nothing: once anything in it has left the recipient's sight, or was revoked, it can be neither
released nor opened, and a new one must be prepared. So what is opened is always exactly what was released.
The only writer of ReportPackage.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Sequence
from uuid import UUID

from django.db import transaction

from exchange import clock
from exchange.errors import Conflict, Forbidden, NotFound, Refused
from indicators.models import Holding, ReportPackage, StixObject
from indicators.opinions import appealing
from indicators.publishing import accounting
from indicators.reading import gathering
from indicators.reports import packaging
from indicators.stix import objects as stix
from partners.groups import bases
from partners.keys.auth import viewer_of_partner
from partners.log import audit
from partners.models import Partner, User
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_OPEN = 100


# --- Preparing and releasing


def prepare(viewer: Viewer, *, recipient: str, root: str) -> ReportPackage:
    """Put a package together for the active partner with slug `recipient`.

    Raises NotFound where the preparer sees no such root, Refused where the recipient does not see it either, or is no
    recipient for it.
    """
    _require_person(viewer)
    if not viewer.scopes & {Scope.AUDIT, Scope.PUBLISH}:
        raise Forbidden("This needs the scope 'audit' or 'publish'.", code="missing-scope")
    partner = Partner.objects.filter(slug=recipient, state=Partner.State.ACTIVE).exclude(pk=viewer.partner_id).first()
    if partner is None:
        raise Refused("Choose an active partner other than your own.", code="unknown-partner", at="/recipient")
    if ReportPackage.objects.of(viewer).filter(state=ReportPackage.State.PREPARED).count() >= _MAX_OPEN:
        raise Conflict(f"At most {_MAX_OPEN} packages wait for release.", code="too-many-packages")
    if not stix.ID.fullmatch(root) or root.partition("--")[0] not in gathering.ROOTS:
        raise Refused(f"The id of one of: {', '.join(gathering.ROOTS)}.", code="bad-root", at="/root")
    found = gathering.gather(viewer, partner, root)
    bundle_id = uuid.uuid4()
    with transaction.atomic():
        package = ReportPackage.unrestricted.create(
            id=bundle_id,
            partner_id=viewer.partner_id,
            recipient=partner,
            title=found.held[0].title,
            root=root,
            object_ids=[held.pk for held in found.held],
            bundle_sha256=hashlib.sha256(packaging.bundle(bundle_id, found.held)).digest(),
            tlp=accounting.strictest(held.audience.tlp for held in found.held),
            bases=[bases.of(group) for group in found.groups],
            ways=found.ways,
            left_out=found.left_out,
            cut=found.cut,
            appeals=appealing.statistics(viewer.partner_id),
            prepared_by=viewer.actor,
            prepared_name=_name(viewer),
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
        )
    return package


def release(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """Let the recipient have it. Raises NotFound, Forbidden for the preparer and for keys, Conflict if it is stale."""
    _require_person(viewer)
    viewer.require(Scope.AUDIT)
    with transaction.atomic():
        package = _own_locked(viewer, package_id)
        if package.state != ReportPackage.State.PREPARED:
            raise Conflict("This package does not wait for release.", code="not-waiting")
        if package.prepared_by == viewer.actor:
            raise Forbidden("Another person than the one who prepared it releases it.", code="needs-another-person")
        held = _still_whole(package)
        if held is None:
            raise Conflict(
                "Something in it was revoked or is out of the recipient's sight: prepare it anew.", code="stale"
            )
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
        )
        package.save(update_fields=["state", "released_by", "released_name", "released_at", "release"])
    return package


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
    """The packages that the viewer's partner prepared, newest first, each with whether it is still whole."""
    mine = ReportPackage.objects.of(viewer).select_related("recipient")
    found = list(mine.order_by("-prepared_at", "-pk")[:_MAX_OPEN])
    whole = _whole(found)
    wanted = {pk for package in found for pk in package.object_ids}
    seen = set(StixObject.objects.visible_to(viewer).filter(pk__in=wanted).values_list("pk", flat=True))
    return [(package, package.pk in whole and seen.issuperset(package.object_ids)) for package in found]


def own_one(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """One of them. Raises NotFound."""
    found = ReportPackage.objects.of(viewer).select_related("recipient").filter(pk=package_id).first()
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
    """What was released to the viewer's partner and can be opened, newest first."""
    viewer.require(Scope.READ)
    found = list(ReportPackage.objects.released_to(viewer).order_by("-released_at", "-pk")[:_MAX_OPEN])
    whole = _whole(found)
    return [package for package in found if package.pk in whole]


def received_one(viewer: Viewer, package_id: UUID) -> ReportPackage:
    """One of them. Raises NotFound: absent, another's, not released, and stale are one answer."""
    viewer.require(Scope.READ)
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


def _own_locked(viewer: Viewer, package_id: UUID) -> ReportPackage:
    found = ReportPackage.objects.of(viewer).select_for_update(of=("self",)).filter(pk=package_id).first()
    if found is None:
        raise NotFound
    return found


def _still_whole(package: ReportPackage) -> list[StixObject] | None:
    """The objects, in order, if the recipient may see them all at this moment and nobody has revoked one; else None."""
    return _whole([package], bodies=True).get(package.pk)


def _whole(packages: Sequence[ReportPackage], *, bodies: bool = False) -> dict[UUID, list[StixObject]]:
    """The objects of those packages that are still whole. Six queries for each recipient, however many packages."""
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
        for package in theirs:
            if all(pk in fit for pk in package.object_ids):
                found[package.pk] = [fit[pk] for pk in package.object_ids]
    return found


def _require_person(viewer: Viewer) -> None:
    if not viewer.actor.startswith("user:"):
        raise Forbidden("A person does this, not a key.", code="needs-a-person")


def _name(viewer: Viewer) -> str:
    return User.objects.values_list("username", flat=True).get(pk=viewer.actor.removeprefix("user:"))
