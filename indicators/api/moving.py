"""Out of sight, or into another's: a publisher takes back what it holds, or shows it to others."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange.errors import NotFound
from indicators import reading
from indicators.api import requests
from indicators.api.batches import batch_answer
from indicators.api.documents.batches import BatchAnswer
from indicators.api.documents.objects import ReaderList
from indicators.ending import withdrawing
from indicators.publishing import previewing, readdressing
from indicators.publishing.reach import Reach
from partners import viewing
from partners.api.base import Face, Request, answer, viewer_of
from partners.scopes import Scope
from partners.viewer import Viewer


class AudienceView(Face):
    """Whom one object of the caller's own is shown to."""

    scope = Scope.PUBLISH

    @extend_schema(
        operation_id="readdress",
        request=requests.AudienceWish,
        responses={204: None, 202: BatchAnswer},
    )
    def put(self, request: Request, stix_id: str) -> HttpResponse:
        """Show an object to others, without new bytes.

        Whoever loses sight of it is told to drop it, whoever gains sight is told of it, and nobody else notices.
        The object's own marking is never made weaker, and without a `tlp` its marking stays as it is. An empty list
        names nobody: the object is yours alone then. With a `tlp` alone those who see it stay the same, as far as they
        may see that marking. Where your partner wants a second person for it, the answer is 202 and that of a batch, as
        a push is answered: the object stays where it is until somebody confirms the batch.
        """
        viewer = viewer_of(request)
        reading.own_object(viewer, _id(stix_id))
        sent = requests.AudienceWish.read(request)
        waits = readdressing.readdress(viewer, stix_id, _reach(viewer, sent))
        return HttpResponse(status=204) if waits is None else batch_answer(waits, status=202)


class PreviewView(Face):
    """Whom something would be shown to, before it is published."""

    scope = Scope.PUBLISH
    asks_again = True

    @extend_schema(operation_id="preview_audience", request=requests.PreviewWish, responses=ReaderList)
    def post(self, request: Request) -> HttpResponse:
        """Which partners would see what is published to this audience. Nothing is published by asking."""
        sent = requests.PreviewWish.read(request)
        viewer = viewer_of(request)
        found = previewing.who_would_see(viewer, _reach(viewer, sent))
        return answer({"readers": [_reader(one) for one in found]})


class ReadersView(Face):
    """Whom one object of the caller's own is shown to, partner by partner."""

    scope = Scope.READ

    @extend_schema(operation_id="readers", responses=ReaderList)
    def get(self, request: Request, stix_id: str) -> HttpResponse:
        """Which partners see the newest version of an object of yours, and whom they are told that it comes from."""
        said = reading.own_object(viewer_of(request), _id(stix_id))
        return answer({"readers": [_reader(one) for one in viewing.readers(said.audience_id)]})


def _reader(one: viewing.Reader) -> dict[str, Any]:
    source = {"id": one.source.id, "name": one.source.name, "slug": one.source.slug}
    return {"name": one.partner_name, "slug": one.partner_slug, "source": source}


class WithdrawView(Face):
    """The end of one object of the caller's own."""

    scope = Scope.PUBLISH

    @extend_schema(operation_id="withdraw", request=None, responses={204: None})
    def post(self, request: Request, stix_id: str) -> HttpResponse:
        """Take an object back, in all its versions: whoever holds it is told to drop it, and nobody sees it any more.

        It comes back if it is published again with `wake=true`.
        """
        withdrawing.withdraw(viewer_of(request), [_id(stix_id)])
        return HttpResponse(status=204)


def _id(stix_id: str) -> str:
    if not stix_id.isprintable():
        raise NotFound
    return stix_id


def _reach(viewer: Viewer, sent: dict[str, Any]) -> Reach:
    """The audience that the body names: with empty lists, nobody. Raises Refused naming the property."""
    said = {name: sent[name] for name in ("everyone", "groups", "partners", "tlp", "attribution") if name in sent}
    return Reach.in_words(viewer, named=_names(sent), **said)


def _names(sent: dict[str, Any]) -> bool:
    """Whether a body says who may see something; a list that is empty names nobody, and is no default audience."""
    return bool(sent.get("everyone")) or "groups" in sent or "partners" in sent
