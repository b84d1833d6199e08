"""Out of sight, or into another's: a publisher takes back what it holds, or shows it to others."""

from __future__ import annotations

from typing import Any

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange.errors import NotFound, Refused
from indicators import reading
from indicators.api.documents import AudienceDocument, AudienceWish, ReaderList
from indicators.ending import withdrawing
from indicators.publishing import previewing, readdressing
from indicators.publishing.addressing import Reach
from partners import viewing
from partners.api.base import Face, Request, answer, form, viewer_of
from partners.scopes import Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_NAMES = 50
_MAX_CHARS = 60


class AudienceView(Face):
    """Whom one object of the caller's own is shown to."""

    scope = Scope.PUBLISH

    @extend_schema(
        operation_id="readdress",
        request={"application/json": AudienceDocument},
        responses={204: None},
    )
    def put(self, request: Request, stix_id: str) -> HttpResponse:
        """Show an object to others, without new bytes.

        Whoever loses sight of it is told to drop it, whoever gains sight is told of it, and nobody else notices.
        The object's own marking is never made weaker, and without a `tlp` its marking stays as it is.
        """
        viewer = viewer_of(request)
        reading.own_object(viewer, _id(stix_id))
        sent = form(request, known={"everyone": bool, "groups": list, "partners": list, "tlp": str})
        readdressing.readdress(viewer, stix_id, _reach(viewer, sent))
        return HttpResponse(status=204)


class PreviewView(Face):
    """Whom something would be shown to, before it is published."""

    scope = Scope.PUBLISH
    asks_again = True

    @extend_schema(operation_id="preview_audience", request={"application/json": AudienceWish}, responses=ReaderList)
    def post(self, request: Request) -> HttpResponse:
        """Which partners would see what is published to this audience. Nothing is published by asking."""
        known = {"everyone": bool, "groups": list, "partners": list, "tlp": str, "attribution": str}
        sent = form(request, known=known)
        wish = previewing.Wish(
            everyone=bool(sent.get("everyone")),
            groups=_slugs(sent, "groups"),
            partners=_slugs(sent, "partners"),
            tlp=sent.get("tlp") or "",
            attribution=sent.get("attribution") or "",
        )
        return answer({"readers": [_reader(one) for one in previewing.who_would_see(viewer_of(request), wish)]})


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
    """The audience that the body names. Raises Refused naming the property."""
    groups, partners = _slugs(sent, "groups"), _slugs(sent, "partners")
    everyone = bool(sent.get("everyone"))
    if everyone and (groups or partners):
        raise Refused("Everyone, or names: not both.", code="bad-audience", at="/everyone")
    try:
        tlp = Tlp.from_word(sent["tlp"]) if sent.get("tlp") else None
    except ValueError:
        raise Refused("clear, green, amber, amber+strict or red.", code="unknown-marking", at="/tlp") from None
    return Reach(
        named=bool(groups or partners or everyone),
        tlp=tlp,
        everyone=everyone,
        groups=tuple(groups_named(viewer, groups)) if groups else (),
        partners=tuple(partners_named(partners)) if partners else (),
    )


def _slugs(sent: dict[str, Any], name: str) -> list[str]:
    found = sent.get(name) or []
    if len(found) > _MAX_NAMES or not all(
        isinstance(slug, str) and len(slug) <= _MAX_CHARS and slug.isprintable() for slug in found
    ):
        raise Refused(f"At most {_MAX_NAMES} slugs.", code="bad-audience", at=f"/{name}")
    return found
