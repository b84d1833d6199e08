"""Addresses of lists: made and ended for a feed, and read without any other key."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django.http import FileResponse, HttpResponse
from drf_spectacular.utils import OpenApiTypes, extend_schema

from exchange import clock, credentials
from exchange.errors import Unauthenticated
from exchange.origins import origin_of
from indicators.api import feed_requests
from indicators.api.changes import sent_list
from indicators.api.deltas import feed_word
from indicators.api.documents.subscriptions import AddressList, NewAddressDocument
from indicators.feeds import addresses, blocklists, deltas
from partners import keys
from partners.api.base import Face, Request, answer, viewer_of
from partners.keys import auth
from partners.models import ApiKey
from partners.scopes import Scope

_NO_STORE = {"Cache-Control": "no-store"}


class AddressesView(Face):
    """The addresses of a feed's list."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="list_addresses", responses=AddressList)
    def get(self, request: Request, feed: str) -> HttpResponse:
        """The addresses of a feed's list, newest first, those that are over included; tokens are not shown again."""
        viewer, feed = viewer_of(request), feed_word(feed)
        deltas.feed_of(viewer, feed)
        return answer({"addresses": [_document(one, feed) for one in addresses.of(viewer, feed)]})

    @extend_schema(
        operation_id="make_list_address", request=feed_requests.NewAddress, responses={201: NewAddressDocument}
    )
    def post(self, request: Request, feed: str) -> HttpResponse:
        """Make an address that reads this feed in one format, and nothing else. The answer holds it, this once."""
        viewer, feed = viewer_of(request), feed_word(feed)
        deltas.feed_of(viewer, feed)
        sent = feed_requests.NewAddress.read(request)
        minutes = sent.get("expires_in_minutes")
        made, token = addresses.make(
            viewer,
            feed=feed,
            form=sent.get("format") or "text",
            name=sent["name"],
            expires_in=None if minutes is None else timedelta(minutes=minutes),
            networks=sent.get("networks") or (),
        )
        told = _document(made, feed) | {"token": token, "address": addresses.address(token)}
        return answer(told, status=201, headers=_NO_STORE)


class AddressView(Face):
    """One address of a feed's list."""

    scope = Scope.SUBSCRIBE

    @extend_schema(operation_id="end_list_address", responses={204: None})
    def delete(self, request: Request, feed: str, public_id: str) -> HttpResponse:
        """Revoke it: from the next request on it is worthless."""
        viewer, feed = viewer_of(request), feed_word(feed)
        deltas.feed_of(viewer, feed)
        addresses.end(viewer, feed, public_id)
        return HttpResponse(status=204)


class ListView(Face):
    """A list, for who has its address."""

    asks_again = True

    def dispatch(self, request: Any, *args: Any, **kwargs: Any) -> Any:
        """Authenticate by the token that the address holds; keys of other doors open nothing here."""
        self.opens, request.auth = auth.opened(_presented(request, kwargs["address"]), origin=origin_of(request))
        return self._handled(request, *args, **kwargs)

    @extend_schema(
        operation_id="list",
        responses={(200, media.partition(";")[0]): OpenApiTypes.STR for media in blocklists.MEDIA_TYPES.values()},
    )
    def get(self, request: Request, address: str) -> HttpResponse | FileResponse:
        """The list whose token stands in the address; or whose id does, with the token as Bearer or Basic password."""
        feed, form = addresses.opens(self.opens)
        viewer = viewer_of(request)
        return sent_list(request, viewer, deltas.feed_of(viewer, feed), feed=feed, form=form)


def _presented(request: Any, address: str) -> str:
    """The token: from the address, or from the header if the address holds its id. Raises Unauthenticated."""
    if address.startswith(credentials.OF_LIST):
        return address
    presented = auth.key_in(request.META.get("HTTP_AUTHORIZATION", ""))
    if presented is None:
        raise Unauthenticated("Send the token of this list as Bearer, or as the password of Basic.")
    return presented if keys.public_id_of(presented) == address else ""


def _document(key: ApiKey, feed: str) -> dict[str, Any]:
    return {
        "id": key.public_id,
        "feed": feed,
        "format": addresses.form_of(key),
        "name": key.name,
        "networks": key.networks,
        "state": keys.state(key, at=clock.now()),
        "created_by": key.created_by,
        "created_at": clock.rfc3339(key.created_at),
        "expires_at": clock.rfc3339(key.expires_at),
        "last_used_at": clock.rfc3339(key.last_used_at) if key.last_used_at else None,
    }
