"""Campaigns: what the evidence of the caller's groups amounts to, and what partners say of it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema

from exchange import paging
from indicators.api import requests
from indicators.api.documents.campaigns import (
    CampaignDocument,
    CampaignGraph,
    CampaignHistory,
    CampaignPage,
    OwnAccounts,
)
from indicators.campaigns import opining, statements, viewing
from indicators.campaigns.tables import Campaign
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer

_MOST = 500
_LIMIT = OpenApiParameter("limit", {"type": "integer", "minimum": 1, "maximum": _MOST, "default": 100})
_CURSOR = OpenApiParameter("cursor", description="`next` of the page before.")


class CampaignsView(Face):
    """All campaigns."""

    known = ("cursor", "limit", "ended")

    @extend_schema(
        operation_id="campaigns",
        parameters=[_CURSOR, _LIMIT, OpenApiParameter("ended", bool, description="With those that have ended.")],
        responses=CampaignPage,
    )
    def get(self, request: Request) -> HttpResponse:
        """The campaigns of your groups, the newest first, as their groups were told of them."""
        viewer, ended = viewer_of(request), self.asked.flag("ended")
        scope, limit = f"campaigns;{ended}", self.asked.number("limit", 100, least=1, most=_MOST)
        cursor = self.asked.text("cursor")
        place = paging.unseal(cursor, viewer=viewer.partner_id, scope=scope) if cursor else None
        after = (str(place[0]), str(place[1])) if place else None
        found = viewing.page(viewer, after=after, limit=limit + 1, ended=ended)
        page = found[:limit]
        following = None
        if len(found) > limit:
            position: paging.Position = [page[-1].created_at.isoformat(), str(page[-1].pk)]
            following = paging.seal(position, viewer=viewer.partner_id, scope=scope)
        return answer({"campaigns": viewing.documents(viewer, page), "next": following})


class CampaignView(Face):
    """One campaign."""

    write_scope = Scope.REACT

    @extend_schema(operation_id="campaign", responses=CampaignDocument)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """A campaign, and what each partner says of it."""
        viewer = viewer_of(request)
        return answer(_whole(viewer, statements.visible(viewer, campaign_id)))

    @extend_schema(operation_id="name_campaign", request=requests.CampaignAlias, responses=CampaignDocument)
    def patch(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Give it a name that your partner alone sees; an empty one takes it away."""
        viewer = viewer_of(request)
        statements.call(viewer, campaign_id, requests.CampaignAlias.read(request).get("alias") or "")
        return answer(_whole(viewer, statements.visible(viewer, campaign_id)))


class OpinionsView(Face):
    """What partners say, as STIX."""

    @extend_schema(operation_id="campaign_opinions", responses=OpenApiTypes.OBJECT)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """What each partner says of it, as a STIX bundle of opinions under the partners' identities."""
        return answer(opining.bundle(statements.visible(viewer_of(request), campaign_id)))


class StatementView(Face):
    """The caller's partner's own word."""

    scope = Scope.REACT

    @extend_schema(operation_id="say_of_campaign", request=requests.CampaignWord, responses=CampaignDocument)
    def put(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Say that it is one (`confirm`), none (`dismiss`), two (`two`), or one with another (`one`), and why."""
        viewer = viewer_of(request)
        statements.visible(viewer, campaign_id)  # what is not there is no question of what was sent
        sent = requests.CampaignWord.read(request)
        statements.say(viewer, campaign_id, says=sent["says"], reason=sent["reason"], other=sent.get("other"))
        return answer(_whole(viewer, statements.visible(viewer, campaign_id)))

    @extend_schema(operation_id="unsay_of_campaign", responses={204: None})
    def delete(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Take your partner's word back."""
        statements.unsay(viewer_of(request), campaign_id)
        return HttpResponse(status=204)


class OwnAccountsView(Face):
    """One's own accounts in it."""

    scope = Scope.EVIDENCE
    known = ("cursor", "limit")

    @extend_schema(operation_id="own_accounts_in_campaign", parameters=[_CURSOR, _LIMIT], responses=OwnAccounts)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Your own accounts in it, by your own pseudonyms, with tokens that they have in common with other labs'."""
        viewer = viewer_of(request)
        scope, limit = f"accounts;{campaign_id}", self.asked.number("limit", 100, least=1, most=_MOST)
        cursor = self.asked.text("cursor")
        place = paging.unseal(cursor, viewer=viewer.partner_id, scope=scope) if cursor else None
        found = viewing.own_accounts(viewer, campaign_id, after=UUID(str(place[0])) if place else None, limit=limit + 1)
        page, following = found[:limit], None
        if len(found) > limit:
            following = paging.seal([str(page[-1]["account"])], viewer=viewer.partner_id, scope=scope)
        return answer({"accounts": page, "next": following})


class HistoryView(Face):
    """What became of it."""

    @extend_schema(operation_id="campaign_history", responses=CampaignHistory)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Made, grown tenfold, joined, split, dismissed, ended: when, to the hour, and by which kinds of tokens."""
        return answer({"events": viewing.history(viewer_of(request), campaign_id)})


class GraphView(Face):
    """A picture of it."""

    @extend_schema(operation_id="campaign_graph", responses=CampaignGraph)
    def get(self, request: Request, campaign_id: UUID) -> HttpResponse:
        """Its labs without names, the tokens that several carry, your own accounts; reasons in words; a timeline."""
        return answer(viewing.graph(viewer_of(request), campaign_id))


def _whole(viewer: Viewer, one: Campaign) -> dict[str, Any]:
    (document,) = viewing.documents(viewer, [one])
    return document | {
        "reasons": one.picture.get("reasons", []),
        **viewing.elsewhere(viewer, one),
        "statements": statements.of(viewer, one),
    }
