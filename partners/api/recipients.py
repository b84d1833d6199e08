"""Who is given report packages on which terms: every partner reads it, the operator records it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from partners import operating, terms
from partners.api import requests
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.documents import RecipientList, TermsDocument
from partners.api.operator import OperatorFace
from partners.groups import life
from partners.models import RecipientTerms
from partners.tlp import Tlp


class RecipientsView(Face):
    """Who is given packages."""

    @extend_schema(operation_id="recipients", responses=RecipientList)
    def get(self, request: Request) -> HttpResponse:
        """The partners that only read, the allies, and whoever else has terms, each with its terms, ended ones too."""
        found = [
            {
                "id": one.pk,
                "slug": one.slug,
                "name": one.name,
                "kind": one.kind,
                "identity_id": one.identity_id,
                "terms": [_terms(each) for each in theirs],
            }
            for one, theirs in terms.recipients()
        ]
        return answer({"recipients": found})


class NewTermsView(OperatorFace):
    """Terms of one partner."""

    @extend_schema(operation_id="record_terms", request=requests.NewTerms, responses={201: TermsDocument})
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Write down new terms; from then on packages for this partner stand under terms that are in force."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = requests.NewTerms.read(request)
        made = terms.record(
            viewer,
            operating.partner_named(slug),
            jurisdiction=sent["jurisdiction"],
            reference=sent["reference"],
            basis_from=sent["from"],
            basis_until=sent.get("until"),
            strictest=Tlp.from_word(sent["strictest"]),
            forms=sent.get("forms") or (),
        )
        return answer(_terms(made), status=201)


class EndTermsView(OperatorFace):
    """The end of terms."""

    @extend_schema(operation_id="end_terms", request=requests.Suspension, responses=TermsDocument)
    def post(self, request: Request, slug: str, terms_id: UUID) -> HttpResponse:
        """End terms now: nothing is released under them any more, and what was released cannot be opened."""
        viewer = viewer_of(request)
        life.require_operator_or_key(viewer)
        sent = requests.Suspension.read(request)
        return answer(_terms(terms.end(viewer, operating.partner_named(slug), terms_id, why=sent["why"])))


def _terms(one: RecipientTerms) -> dict[str, Any]:
    in_force = terms.why_outside(one, on=clock.now().date()) is None
    ended = clock.rfc3339(one.ended_at) if one.ended_at else None
    return {"id": one.pk, **terms.said(one), "in_force": in_force, "ended_at": ended}
