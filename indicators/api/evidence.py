"""Evidence and prevalence of one group: lines up, lists of asked tokens and of sums down. Never STIX."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import OpenApiParameter, OpenApiTypes, extend_schema

from exchange import bodies, clock, paging
from exchange.errors import Refused, UnsupportedMedia
from exchange.parameters import Parameters
from indicators.api.documents.campaigns import (
    AnsweredDocument,
    AskedPage,
    EvidenceState,
    FinishedDocument,
    SumsPage,
    TakenDocument,
)
from indicators.campaigns import evidence, lines, prevalence, sums, terms
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer

_NDJSON = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
_LIMIT = 10_000
_MOST_ROUND = 999_999_999
_ROUND = OpenApiParameter(
    "round",
    {"type": "integer", "minimum": 1, "maximum": _MOST_ROUND},
    description="The lab's own counter.",
    required=True,
)
_PAGE = [
    OpenApiParameter("cursor", description="From the last answer; without it, from the beginning."),
    OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _LIMIT, "default": _LIMIT}),
]
_LINES = {"application/x-ndjson": OpenApiTypes.STR}


class EvidenceView(Face):
    """The lab's own evidence."""

    scope = Scope.EVIDENCE
    known = ("round",)

    @extend_schema(operation_id="evidence", responses=EvidenceState)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """How far your lab is with the group, and how often told numbers change."""
        contributor, state = evidence.state(viewer_of(request), slug)
        sent_at = state.submission.sent_at
        return answer(
            _state(state)
            | {
                "interval_s": int(contributor.interval.total_seconds()),
                "last_sent_at": clock.rfc3339(sent_at) if sent_at else None,
                "quotas": {
                    "accounts": terms.MOST_SUSPECTS,
                    "tokens": terms.MOST_TOKENS,
                    "lines_a_day": terms.LINES_A_DAY,
                    "answers_a_day": terms.ANSWERS_A_DAY,
                },
            }
        )

    @extend_schema(operation_id="send_evidence", parameters=[_ROUND], request=_LINES, responses=TakenDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Send evidence, a line an account: done whole or not at all, and the same when it is sent again."""
        number = _round(self.asked)
        done = evidence.take(viewer_of(request), slug, number=number, body=_body(request))
        return answer(
            {
                "round": done.round,
                "accounts": done.accounts,
                "changed": done.changed,
                "unchanged": done.accounts - done.changed,
            }
        )


class FinishView(Face):
    """The end of a round."""

    scope = Scope.EVIDENCE
    known = ("round",)

    @extend_schema(operation_id="finish_round", parameters=[_ROUND], request=None, responses=FinishedDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """End a round: what earlier ones said and this one did not repeat is gone."""
        return answer(_state(evidence.finish(viewer_of(request), slug, number=_round(self.asked))))


class AskedView(Face):
    """What the group asks about."""

    scope = Scope.EVIDENCE
    known = ("cursor", "limit")

    @extend_schema(operation_id="asked_tokens", parameters=_PAGE, responses=AskedPage)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Tokens that evidence of the group carries, yours included, and those that none carries any more."""
        viewer = viewer_of(request)

        def read(after: int, limit: int) -> list[_Row]:
            found = prevalence.asked_page(viewer, slug, after=after, limit=limit)
            rows = [
                (each, (each.subkind, each.scheme, each.epoch, each.psp_scope, each.value, each.wide)) for each in found
            ]
            return [(each.place, ("asked",) if each.asked else ("ended",), row, None) for each, row in rows]

        return _page(self.asked, viewer, f"asked;{slug}", read, of=("asked", "ended"))


class PrevalenceView(Face):
    """Answers."""

    scope = Scope.EVIDENCE

    @extend_schema(operation_id="send_prevalence", request=_LINES, responses=AnsweredDocument)
    def post(self, request: Request, slug: str) -> HttpResponse:
        """Answer how many accounts hold a token, and how many of these are suspects: 0, or powers of two."""
        done = prevalence.take(viewer_of(request), slug, _body(request))
        return answer({"answers": done.answers, "changed": done.changed, "not_asked": done.not_asked})


class SumsView(Face):
    """What the others hold."""

    scope = Scope.EVIDENCE
    known = ("cursor", "limit")

    @extend_schema(operation_id="sums", parameters=_PAGE, responses=SumsPage)
    def get(self, request: Request, slug: str) -> HttpResponse:
        """Sums over the other labs where two or more answered; and what one other lab alone published, unnumbered."""
        viewer = viewer_of(request)

        def read(after: int, limit: int) -> list[_Row]:
            found = sums.told_page(viewer, slug, after=after, limit=limit)
            return [(place, _told(numbers, word=word), token, numbers)
                    for place, *numbers, word, token in ((*row[:6], row[6:]) for row in found)]  # fmt: skip

        return _page(self.asked, viewer, f"sums;{slug}", read, of=("sums", "one_labs_word", "ended"))


def _told(numbers: Sequence[int | None], *, word: bool) -> tuple[str, ...]:
    found = [name for name, holds in (("sums", numbers[0] is not None), ("one_labs_word", word)) if holds]
    return tuple(found) or ("ended",)


#: The place, the lists that it is in, the token, its numbers.
_Row = tuple[int, tuple[str, ...], Any, Any]
_NUMBERS = ("holders", "suspects", "holders_less", "suspects_less")


def _page(
    asked: Parameters,
    viewer: Viewer,
    scope: str,
    read: Callable[[int, int], list[_Row]],
    *,
    of: Sequence[str],
) -> HttpResponse:
    """A page by cursor; within a list, tokens stand by their values."""
    cursor = asked.text("cursor")
    after = int(paging.unseal(cursor, viewer=viewer.partner_id, scope=scope)[0]) if cursor else 0
    limit = asked.number("limit", _LIMIT, least=1, most=_LIMIT)
    rows = read(after, limit + 1)
    page: dict[str, Any] = {name: [] for name in of}
    for _, names, token, numbers in sorted(rows[:limit], key=lambda row: bytes(row[2][4])):
        shown = _token(*token)
        for name in names:
            numbered = {"token": shown, **dict(zip(_NUMBERS, numbers, strict=True))} if name == "sums" else shown
            page[name].append(numbered)
    reached = rows[:limit][-1][0] if rows else after
    page["cursor"] = paging.seal([reached], viewer=viewer.partner_id, scope=scope)
    page["more"] = len(rows) > limit
    return answer(page)


def _token(subkind: str, scheme: str, epoch: str, psp_scope: str, value: Any, wide: Any) -> dict[str, Any]:
    said = {"subkind": subkind, "scheme": scheme, "key_epoch": epoch, "value": bytes(value).hex()}
    if psp_scope:
        said["psp_scope"] = psp_scope
    return said | {"wide": True} if wide else said


def _state(state: evidence.State) -> dict[str, Any]:
    return {"round": state.submission.round, "accounts": state.accounts, "tokens": state.tokens}


def _round(asked: Parameters) -> int:
    if not (number := asked.number("round", 0, least=1, most=_MOST_ROUND)):
        raise Refused("Which round it is.", code="bad-parameter", at="/round")
    return number


def _body(request: Request) -> bytes:
    if bodies.media_type(request) not in _NDJSON:
        raise UnsupportedMedia("Send application/x-ndjson.")
    return bodies.read(request, max_bytes=lines.MOST_BYTES)
