"""Report packages that were released to the caller's partner."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema

from exchange import clock
from indicators.api.documents.reports import ReportDocument, ReportList
from indicators.models import ReportPackage
from indicators.reports import reporting
from partners import terms
from partners.api.base import Face, Request, answer, viewer_of
from partners.log import reads
from partners.tlp import Tlp


class ReportsView(Face):
    """What was released."""

    @extend_schema(operation_id="reports", responses=ReportList)
    def get(self, request: Request) -> HttpResponse:
        """The report packages that were released to the caller's partner and can be opened, newest first."""
        return answer({"reports": [_report(package) for package in reporting.received(viewer_of(request))]})


class ReportView(Face):
    """One package."""

    @extend_schema(operation_id="report", responses=ReportDocument)
    def get(self, request: Request, report_id: UUID) -> HttpResponse:
        """What one package is."""
        return answer(_report(reporting.received_one(viewer_of(request), report_id)))


class PackageView(Face):
    """Its files."""

    @extend_schema(operation_id="report_package", responses={(200, "application/zip"): OpenApiTypes.BINARY})
    def get(self, request: Request, report_id: UUID) -> HttpResponse:
        """The package as a zip: a cover (pdf, json), proofs.json, and what `forms` says: bundle, objects.csv, form.

        For up to a minute after its release it is answered with 409: the log's next head is to cover it first.
        """
        viewer = viewer_of(request)
        content = reporting.open_for(viewer, report_id)
        reads.tally(viewer, surface="rest:report", objects=1, feed=str(report_id))
        headers = {"Content-Disposition": f'attachment; filename="report-{report_id}.zip"'}
        return HttpResponse(content, content_type="application/zip", headers=headers)


def _report(package: ReportPackage) -> dict[str, Any]:
    return {
        "id": package.pk,
        "title": package.title,
        "root": package.root,
        "from": {"id": package.partner.pk, "name": package.partner.name, "slug": package.partner.slug},
        "tlp": Tlp(package.tlp).word,
        "objects": len(package.object_ids),
        "forms": list(package.forms or terms.FORMS),
        "terms": terms.said(package.terms) if package.terms is not None else None,
        "released_at": clock.rfc3339(package.released_at) if package.released_at else None,
        "bundle_sha256": bytes(package.bundle_sha256).hex(),
    }
