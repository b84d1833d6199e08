"""On which terms a partner is given report packages: recorded by the operator, read by all, asked at each release.

    recorded -> in force from one day to another -> ended by the operator, or past its last day

For whom no terms were ever recorded, the rule of visibility alone decides. For whom some were, a package is prepared,
released and opened only under terms that are in force and cover its marking and its files. They only narrow: nobody
sees by them what the rule does not show. The only writer of RecipientTerms.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from datetime import date
from typing import Any
from uuid import UUID

from django.db import transaction

from exchange import clock
from exchange.errors import Conflict, NotFound, Refused
from partners.groups import life
from partners.log import audit
from partners.models import Partner, RecipientTerms
from partners.tlp import Tlp
from partners.viewer import Viewer

FORMS = tuple(RecipientTerms.Form.values)
_MOST = 50
_JURISDICTION = re.compile(r"[A-Z]{2}(?:-[A-Z0-9]{1,3})?")
_REFERENCE_CHARS = 300


# --- The rule, pure


def why_outside(
    terms: RecipientTerms, *, on: date, tlp: Tlp | None = None, forms: Collection[str] = ()
) -> tuple[str, str] | None:
    """Why a package of this marking with these files is not within the terms on a day; None if it is."""
    name = f"The terms {terms.jurisdiction} ({terms.reference})"
    if terms.ended_at is not None:
        return "terms-ended", f"{name} have ended."
    if on < terms.basis_from:
        return "terms-ended", f"{name} begin on {terms.basis_from}."
    if terms.basis_until is not None and terms.basis_until < on:
        return "terms-ended", f"{name} ended on {terms.basis_until}."
    if tlp is not None and tlp > terms.strictest:
        return "over-terms", f"{name} cover {Tlp(terms.strictest).label} at the strictest."
    if unwanted := sorted(set(forms) - set(terms.forms)):
        return "form-not-wanted", f"{name} do not take: {', '.join(unwanted)}."
    return None


def chosen(
    recorded: Iterable[RecipientTerms], *, on: date, forms: Collection[str] = (), wanted: UUID | None = None
) -> RecipientTerms | None:
    """The terms for a package: those that are `wanted`, else the first in force that take these files.

    None where none were ever recorded. Raises Refused where there are some, and none of them will do.
    """
    found = sorted(recorded, key=lambda one: (one.basis_from, one.recorded_at, str(one.pk)))
    if wanted is not None and wanted not in {one.pk for one in found}:
        raise Refused("The recipient has no such terms.", code="unknown-terms", at="/terms")
    asked = [one for one in found if wanted in (None, one.pk)]
    reasons = [why_outside(one, on=on, forms=forms) for one in asked]
    for one, why in zip(asked, reasons, strict=True):
        if why is None:
            return one
    # Of several reasons the one of the terms that came nearest: those that are in force, else the newest.
    whys = sorted(filter(None, reasons), key=lambda why: why[0] == "terms-ended")
    if whys:
        raise Refused(whys[0][1], code=whys[0][0], at="/forms" if whys[0][0] == "form-not-wanted" else "/recipient")
    return None


def said(terms: RecipientTerms) -> dict[str, Any]:
    """What a cover sheet and a record say of terms."""
    return {
        "jurisdiction": terms.jurisdiction,
        "reference": terms.reference,
        "from": terms.basis_from.isoformat(),
        "until": terms.basis_until.isoformat() if terms.basis_until else None,
        "strictest": Tlp(terms.strictest).word,
        "forms": list(terms.forms),
    }


# --- Reading


def of(partner_id: UUID) -> list[RecipientTerms]:
    """All terms of a partner, ended ones, too, in the order of their first days."""
    return list(RecipientTerms.objects.filter(recipient=partner_id).order_by("basis_from", "recorded_at", "pk"))


def by_partner() -> dict[UUID, list[RecipientTerms]]:
    """The same of all partners that have any. One query."""
    found: dict[UUID, list[RecipientTerms]] = {}
    for one in RecipientTerms.objects.order_by("basis_from", "recorded_at", "pk"):
        found.setdefault(one.recipient_id, []).append(one)
    return found


def recipients() -> list[tuple[Partner, list[RecipientTerms]]]:
    """The active partners that only read, the allies, and whoever else has terms, by name, each with its terms."""
    recorded = by_partner()
    kinds = {Partner.Kind.ALLY, Partner.Kind.RECIPIENT}
    active = Partner.objects.filter(state=Partner.State.ACTIVE).order_by("name")
    return [(one, recorded.get(one.pk, [])) for one in active if one.kind in kinds or one.pk in recorded]


# --- Recording


def record(
    by: Viewer,
    recipient: Partner,
    *,
    jurisdiction: str,
    reference: str,
    basis_from: date,
    basis_until: date | None,
    strictest: Tlp,
    forms: Collection[str] = (),
) -> RecipientTerms:
    """Write down new terms of a partner. Raises NotFound for all but the operator, Refused naming the field, Conflict.

    Without `forms` all of them are wanted.
    """
    life.require_operator_or_key(by)
    if recipient.kind in (Partner.Kind.OPERATOR, Partner.Kind.EXCHANGE) or recipient.state == Partner.State.LEFT:
        raise Refused("Terms are of a partner that is given packages.", code="unknown-partner", at="/partner")
    reference = " ".join(reference.split())
    if not _JURISDICTION.fullmatch(jurisdiction):
        raise Refused("A code of ISO 3166, such as DE or US-CA; EU, UN.", code="bad-jurisdiction", at="/jurisdiction")
    if not 1 <= len(reference) <= _REFERENCE_CHARS or not reference.isprintable():
        raise Refused(f"1 to {_REFERENCE_CHARS} characters.", code="bad-text", at="/reference")
    if basis_until is not None and basis_until < basis_from:
        raise Refused("It would end before it begins.", code="bad-date", at="/until")
    if not set(forms) <= set(FORMS):
        raise Refused(f"Of: {', '.join(FORMS)}.", code="bad-form", at="/forms")
    with transaction.atomic():
        Partner.objects.select_for_update(no_key=True).get(pk=recipient.pk)  # one after the other
        if RecipientTerms.objects.filter(recipient=recipient, ended_at=None).count() >= _MOST:
            raise Conflict(f"A partner has at most {_MOST} terms that have not ended.", code="too-many-terms")
        made = RecipientTerms.objects.create(
            recipient=recipient,
            jurisdiction=jurisdiction,
            reference=reference,
            basis_from=basis_from,
            basis_until=basis_until,
            strictest=strictest,
            forms=[form for form in FORMS if form in forms] or list(FORMS),
            recorded_by=by.actor,
        )
        _tell(audit.Verb.TERMS_RECORDED, made, by=by)
    return made


def end(by: Viewer, recipient: Partner, terms_id: UUID, *, why: str) -> RecipientTerms:
    """End terms now: nothing is released under them any more, nor opened. Raises NotFound, Refused, Conflict."""
    life.require_operator_or_key(by)
    why = life.reason(why)
    with transaction.atomic():
        found = RecipientTerms.objects.select_for_update().filter(pk=terms_id, recipient=recipient).first()
        if found is None:
            raise NotFound
        if found.ended_at is not None:
            raise Conflict("These terms have ended already.", code="terms-ended")
        found.recipient = recipient
        found.ended_at, found.ended_why = clock.now(), why
        found.save(update_fields=["ended_at", "ended_why"])
        _tell(audit.Verb.TERMS_ENDED, found, by=by, why=why)
    return found


def _tell(verb: audit.Verb, one: RecipientTerms, *, by: Viewer, **details: Any) -> None:
    """Write it into the recipient's log, and into the operator's."""
    for about in sorted({one.recipient_id, by.partner_id}):
        audit.record(verb, by=by, target=f"partner:{one.recipient.slug}", about=about, terms=said(one), **details)
