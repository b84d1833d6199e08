"""Connections to the servers of others: an admin's, of a partner that publishes (docs/connections.md)."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from django.http import HttpResponse
from drf_spectacular.utils import extend_schema

from exchange import clock
from exchange.errors import Refused
from indicators.api import connection_requests as requests
from indicators.api.documents.connections import ConnectionDocument, ConnectionList
from indicators.connections import heads, keeping, running
from indicators.models import Connection
from indicators.publishing import awaiting
from indicators.publishing.reach import Reach
from partners.api.base import Face, Request, answer, viewer_of
from partners.attribution import Attribution
from partners.scopes import Scope
from partners.sharing import groups_named, partners_named
from partners.tlp import Tlp
from partners.viewer import Viewer

_AS_THEY_ARE = ("name", "state", "feed", "says", "every_s")
_AUDIENCE = frozenset({"everyone", "groups", "partners", "tlp", "attribution"})


class ConnectionsView(Face):
    """Servers that are pulled from and pushed to."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="connections", responses=ConnectionList)
    def get(self, request: Request) -> HttpResponse:
        """The caller's partner's connections, and how each goes; credentials are never shown."""
        return answer({"connections": [_document(one) for one in keeping.listed(viewer_of(request))]})

    @extend_schema(operation_id="connect", request=requests.NewConnection, responses={201: ConnectionDocument})
    def post(self, request: Request) -> HttpResponse:
        """Pull from a TAXII collection or a MISP, or push to one, from now on. It runs within seconds.

        What is pulled is published as the caller's partner, to `groups`, `partners` or `everyone`; without any of them
        the partner alone sees it. What is pushed is what the partner published under its own name.
        """
        viewer, sent = viewer_of(request), requests.NewConnection.read(request)
        wish = keeping.Wish(
            name=sent["name"],
            kind=Connection.Kind(sent["kind"]),
            direction=Connection.Direction(sent["direction"]),
            url=sent["url"],
            credential=sent.get("authorization") or "",
            strictest=Tlp.from_word(sent.get("strictest") or Tlp.GREEN.word),
            reach=_reach(viewer, sent),
            feed_id=sent.get("feed"),
            says=sent.get("says") or {},
            log_key=sent.get("log_key") or "",
            every_s=60 if sent.get("every_s") is None else sent["every_s"],
        )
        made = keeping.connect(viewer, wish)
        running.hint()
        return answer(_document(made), status=201)


class ConnectionView(Face):
    """One of the caller's partner's."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="connection", responses=ConnectionDocument)
    def get(self, request: Request, connection_id: UUID) -> HttpResponse:
        """A connection, and how it goes."""
        return answer(_document(keeping.own(viewer_of(request), connection_id)))

    @extend_schema(operation_id="change_connection", request=requests.ConnectionChange, responses=ConnectionDocument)
    def patch(self, request: Request, connection_id: UUID) -> HttpResponse:
        """Change what is named. Any word of an audience replaces the whole audience; another address is another one."""
        viewer, sent = viewer_of(request), requests.ConnectionChange.read(request)
        if not sent:
            raise Refused("Name what is to change.", code="nothing-to-change", at="")
        wanted: dict[str, Any] = {
            name: sent[name] for name in ("name", "state", "feed", "says", "every_s") if name in sent
        }
        if sent.get("authorization") is not None:
            wanted["credential"] = sent["authorization"]
        if sent.get("log_key") is not None:
            wanted["log_key"] = sent["log_key"]
        if sent.get("strictest"):
            wanted["strictest"] = Tlp.from_word(sent["strictest"])
        if _AUDIENCE & sent.keys():
            wanted["reach"] = _reach(viewer, sent)
        changed = keeping.change(viewer, connection_id, wanted)
        running.hint()
        return answer(_document(changed))

    @extend_schema(operation_id="end_connection", responses={204: None})
    def delete(self, request: Request, connection_id: UUID) -> HttpResponse:
        """End it and forget its credential. What came in stays yours, to withdraw or keep."""
        keeping.end(viewer_of(request), connection_id)
        return HttpResponse(status=204)


class RunView(Face):
    """A run before its time."""

    scope = Scope.ADMIN

    @extend_schema(operation_id="run_connection", request=None, responses={202: ConnectionDocument})
    def post(self, request: Request, connection_id: UUID) -> HttpResponse:
        """Have it run within seconds; `last_at` and `outcome` say how that went."""
        one = keeping.run_now(viewer_of(request), connection_id)
        running.hint()
        return answer(_document(one), status=202)


def _tlp(word: str | None) -> Tlp | None:
    return Tlp.from_word(word) if word else None


def _reach(viewer: Viewer, sent: Mapping[str, Any]) -> Reach:
    """The audience that a body names. Raises Refused naming the field."""
    groups, partners, everyone = sent.get("groups") or (), sent.get("partners") or (), bool(sent.get("everyone"))
    if everyone and (groups or partners):
        raise Refused("Everyone, or names: not both.", code="bad-audience", at="/everyone")
    return Reach(
        tlp=_tlp(sent.get("tlp")),
        everyone=everyone,
        groups=tuple(groups_named(viewer, groups)) if groups else (),
        partners=tuple(partners_named(partners)) if partners else (),
        attribution=Attribution.from_word(sent["attribution"]) if sent.get("attribution") else None,
    )


def _document(one: Connection) -> dict[str, Any]:
    audience = None
    if one.direction == Connection.Direction.PULL:
        reach = Reach.from_json(one.reach)
        audience = {
            **awaiting.words_of(reach),
            "attribution": None if reach.attribution is None else reach.attribution.word,
        }
    return {
        "id": one.pk,
        "name": one.name,
        "kind": one.kind,
        "direction": one.direction,
        "url": one.url,
        "authorized": bool(one.credential),
        "state": one.state,
        "strictest": Tlp(one.strictest).word,
        "audience": audience,
        "feed": one.feed_id,
        "says": one.says,
        "every_s": one.every_s,
        "created_at": clock.rfc3339(one.created_at),
        "due_at": clock.rfc3339(one.due_at),
        "last_at": clock.rfc3339(one.last_at) if one.last_at else None,
        "outcome": one.outcome,
        "log": _log(one),
        "failures": one.failures,
        "failing_since": clock.rfc3339(one.failing_since) if one.failing_since else None,
        "counts": one.counts,
        "last_batch": one.last_batch,
    }


def _log(one: Connection) -> dict[str, Any] | None:
    """How the other exchange's log stands; None where it is not looked at."""
    if not one.log_key:
        return None
    head = heads.newest(one)
    return {
        "public_key": base64.b64encode(bytes.fromhex(one.log_key)).decode(),
        "alarm": one.log_alarm or None,
        "seen_at": clock.rfc3339(one.log_seen_at) if one.log_seen_at else None,
        "size": None if head is None else head.size,
        "root": None if head is None else bytes(head.root).hex(),
        "signed_at": None if head is None else clock.rfc3339(head.at),
    }
