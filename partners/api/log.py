"""The log: signed heads and proofs for whoever has a key, a partner's own records for those who may audit."""

from __future__ import annotations

import re
from typing import Any

from django.http import FileResponse, HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import clock, paging
from exchange.errors import NotFound, Refused
from exchange.parameters import Parameters
from partners.api.base import Face, Request, answer, viewer_of
from partners.api.log_documents import (
    ConsistencyProof,
    HeadAnswer,
    InclusionProof,
    LogKeys,
    LogRecords,
)
from partners.log import logbook, transparency
from partners.models import AuditRecord, TreeHead
from partners.scopes import Scope

_LIMIT = 1_000
_HASH = re.compile(r"[0-9a-f]{64}")
_MOST = 999_999_999
_SIZE = {"type": "integer", "minimum": 1, "maximum": _MOST}
_FILTERS = ("since", "until", "verb", "group", "partner")
_FILTER_PARAMETERS = [
    OpenApiParameter("since", OpenApiTypes.DATE, description="First day (UTC)."),
    OpenApiParameter("until", OpenApiTypes.DATE, description="Last day (UTC)."),
    OpenApiParameter("verb", description="Such as `batch.published`."),
    OpenApiParameter("group", description="Only what names this group (slug)."),
    OpenApiParameter("partner", description="Only what names this partner (slug)."),
]


class HeadView(Face):
    """The last published head."""

    scope = None
    known = ("first",)

    @extend_schema(
        operation_id="log_head",
        parameters=[OpenApiParameter("first", _SIZE, description="Size of an earlier head that you keep.")],
        responses=HeadAnswer,
    )
    def get(self, request: Request) -> HttpResponse:
        """The last signed tree head, at most one a minute; with `first`, the proof that it extends that one."""
        head = transparency.head()
        if head is None:
            raise NotFound("No head was published yet.")
        return answer(logbook.head_with_keys(head, first=_first(self.asked)))


class KeysView(Face):
    """Public keys."""

    scope = None

    @extend_schema(operation_id="log_keys", responses=LogKeys)
    def get(self, request: Request) -> HttpResponse:
        """The public keys (Ed25519) that have signed heads; the last one signs now."""
        return answer({"keys": transparency.key_documents()})


class ConsistencyView(Face):
    """That the log only grew."""

    scope = None
    known = ("first", "second")

    @extend_schema(
        operation_id="log_consistency",
        parameters=[OpenApiParameter(name, _SIZE, required=True) for name in ("first", "second")],
        responses=ConsistencyProof,
    )
    def get(self, request: Request) -> HttpResponse:
        """The proof (RFC 9162 §2.1.4) that one published head extends another."""
        first, second = (_size(self.asked, name) for name in ("first", "second"))
        earlier, later = transparency.head_of(first), transparency.head_of(second)
        proof = transparency.consistency_proof(earlier.size, later.size)
        return answer({"first": first, "second": second, "proof": proof})


class InclusionView(Face):
    """That a record is in the log."""

    scope = Scope.AUDIT
    known = ("leaf", "size")

    @extend_schema(
        operation_id="log_inclusion",
        parameters=[
            OpenApiParameter("leaf", {"type": "string", "pattern": "^[0-9a-f]{64}$"}, required=True),
            OpenApiParameter("size", _SIZE, description="Of a published head; without it, the last one."),
        ],
        responses=InclusionProof,
    )
    def get(self, request: Request) -> HttpResponse:
        """The proof (RFC 9162 §2.1.3) that a record of your own partner is under a published head."""
        leaf = self.asked.text("leaf")
        if not _HASH.fullmatch(leaf):
            raise Refused("64 hex digits: the `leaf` of a record.", code="bad-parameter", at="/leaf")
        size = self.asked.number("size", 0, least=1, most=_MOST) if self.asked.text("size") else 0
        record = logbook.one(viewer_of(request), bytes.fromhex(leaf))
        head = transparency.head_of(size) if size else transparency.head()
        if head is None:
            raise NotFound("No head was published yet.")
        return answer(logbook.proof_of(record, under=head) | {"head": transparency.head_document(head)})


class RecordsView(Face):
    """Own records."""

    scope = Scope.AUDIT
    known = (*_FILTERS, "cursor", "limit")

    @extend_schema(
        operation_id="log_records",
        parameters=[
            *_FILTER_PARAMETERS,
            OpenApiParameter("cursor", description="`next` of the last page; without it, the first page."),
            OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": 100}),
        ],
        responses=LogRecords,
    )
    def get(self, request: Request) -> HttpResponse:
        """The records of the caller's own partner, newest first. `index` comes with the next published head."""
        viewer, wanted = viewer_of(request), asked_of(self.asked)
        limit = self.asked.number("limit", 100, least=1, most=_LIMIT)
        cursor = self.asked.text("cursor")
        before = int(paging.unseal(cursor, viewer=viewer.partner_id, scope=wanted.scope)[0]) if cursor else None
        found = logbook.records(viewer, wanted, before=before, limit=limit + 1)
        more, found = len(found) > limit, found[:limit]
        following = paging.seal([found[-1].pk], viewer=viewer.partner_id, scope=wanted.scope) if more else None
        head = transparency.head()
        return answer({"records": [_record(each, under=head) for each in found], "next": following})


class ExportView(Face):
    """Own records, to verify elsewhere."""

    scope = Scope.AUDIT
    known = (*_FILTERS, "first")

    @extend_schema(
        operation_id="log_export",
        parameters=[
            *_FILTER_PARAMETERS,
            OpenApiParameter("first", _SIZE, description="Size of an earlier head that you keep."),
        ],
        responses={(200, "application/x-ndjson"): OpenApiTypes.STR},
    )
    def get(self, request: Request) -> FileResponse:
        """The own records as signed JSON Lines, each with its proof: `exchange audit verify` needs nothing else."""
        file = logbook.export(viewer_of(request), asked_of(self.asked), first=_first(self.asked))
        return FileResponse(file, content_type="application/x-ndjson")


def asked_of(asked: Parameters) -> logbook.Asked:
    """The filters of a request."""
    return logbook.Asked(
        since=asked.day("since"),
        until=asked.day("until"),
        verb=asked.text("verb"),
        group=asked.text("group"),
        partner=asked.text("partner"),
    )


def _first(asked: Parameters) -> int | None:
    return asked.number("first", 0, least=1, most=_MOST) if asked.text("first") else None


def _size(asked: Parameters, name: str) -> int:
    if not asked.text(name):
        raise Refused("The size of a published head.", code="bad-parameter", at=f"/{name}")
    return asked.number(name, 0, least=1, most=_MOST)


def _record(record: AuditRecord, *, under: TreeHead | None) -> dict[str, Any]:
    return {
        "at": clock.rfc3339(record.at),
        "verb": record.verb,
        "actor": record.actor,
        "target": record.target,
        "details": record.details,
        "nonce": bytes(record.nonce).hex(),
        "leaf": bytes(record.leaf_hash).hex(),
        "index": logbook.index_of(record, under=under),
    }
