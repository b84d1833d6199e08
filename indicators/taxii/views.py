"""The endpoints of TAXII 2.1: each authenticates, negotiates, asks the core, and answers in the TAXII media type.

What goes wrong is raised and rendered at the edge as a TAXII error message (`exchange.problems`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.urls import resolve
from django.views.decorators.csrf import csrf_exempt

from exchange import bodies
from exchange.errors import Forbidden, Malformed, MethodNotAllowed, NotFound, Refused, TooLarge
from indicators import publishing, reading
from indicators.ending import withdrawing
from indicators.publishing import answering
from indicators.stix import parsing
from indicators.stix.drafts import Draft, Unreadable
from indicators.taxii import collections, filters, media, pages, resources
from partners.keys import auth
from partners.log import reads
from partners.scopes import Scope
from partners.viewer import Viewer

_Handler = Callable[..., HttpResponse]

_EVERY_MATCH = ("id", "spec_version", "type", "version")
_MATCHES_OF_ONE_OBJECT = ("spec_version", "version")
_MATCHES_OF_VERSIONS = ("spec_version",)


def _endpoint(**handlers: _Handler) -> _Handler:
    """A view of the given methods. Keys authenticate, never cookies, so no form token is asked for."""
    allowed = tuple(sorted([*handlers, *(["HEAD"] if "GET" in handlers else [])]))

    def view(request: HttpRequest, **path: Any) -> HttpResponse:
        handler = handlers.get("GET" if request.method == "HEAD" else request.method or "")
        if handler is None:
            raise MethodNotAllowed("This resource knows no such method.", allowed=allowed)

        def act(viewer: Viewer) -> HttpResponse:
            media.require_acceptable(request)
            if request.method != "DELETE":  # publishing asks again by itself
                return handler(request, viewer, **path)
            with auth.acting(viewer):
                return handler(request, viewer, **path)

        return auth.acted(request, act)

    return csrf_exempt(view)


def _answer(body: bytes, *, status: int = 200, headers: dict[str, str] | None = None) -> HttpResponse:
    length = {"Content-Length": str(len(body))}
    return HttpResponse(body, status=status, content_type=media.TAXII, headers=length | (headers or {}))


def _discovery(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """§4.1. The address is absolute, as the client reached us: some clients do not join a relative one."""
    return _answer(resources.discovery(request.build_absolute_uri(resources.API_ROOT_PATH)))


def _api_root(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """§4.2."""
    return _answer(resources.api_root())


def _status(request: HttpRequest, viewer: Viewer, status_id: str) -> HttpResponse:
    """§4.3: the batches of the viewer's own partner; any other is answered like one that does not exist."""
    if not viewer.scopes & {Scope.READ, Scope.PUBLISH}:
        raise Forbidden("This needs the scope 'read' or 'publish'.", code="missing-scope")
    return _answer(_status_resource(viewer, answering.answer_of(answering.batch(viewer, _uuid(status_id)))))


def _collections(request: HttpRequest, viewer: Viewer) -> HttpResponse:
    """§5.1."""
    return _answer(resources.collections(collections.of(viewer)))


def _collection(request: HttpRequest, viewer: Viewer, collection_id: str) -> HttpResponse:
    """§5.2."""
    return _answer(resources.collection(collections.find(viewer, collection_id)))


def _manifest(request: HttpRequest, viewer: Viewer, collection_id: str) -> HttpResponse:
    """§5.3."""
    collection = collections.find(viewer, collection_id)
    query = filters.read(request.GET, matches=_EVERY_MATCH)
    page = pages.turn_manifest(viewer, collection, query)
    _note(viewer, page, surface="taxii:manifest", feed=collection_id)
    return _answer(resources.manifest(page), headers=page.headers)


def _get_objects(request: HttpRequest, viewer: Viewer, collection_id: str) -> HttpResponse:
    """§5.4."""
    collection = collections.find(viewer, collection_id)
    query = filters.read(request.GET, matches=_EVERY_MATCH)
    page = pages.turn(viewer, collection, query)
    _note(viewer, page, surface="taxii:objects", feed=collection_id)
    return _answer(resources.envelope(page), headers=page.headers)


def _add_objects(request: HttpRequest, viewer: Viewer, collection_id: str) -> HttpResponse:
    """§5.5. All is stored and committed when the answer leaves, so the status is complete from the start."""
    collection = collections.find(viewer, collection_id)
    collection.require_write()
    media.require_readable(request)
    body = bodies.read(request)
    sent = publishing.Request(digest=hashlib.sha256(body).digest())
    answer = publishing.publish(_elements(body), by=viewer, reach=collection.reach, request=sent)
    return _answer(_status_resource(viewer, answer), status=202)


def _get_object(request: HttpRequest, viewer: Viewer, collection_id: str, object_id: str) -> HttpResponse:
    """§5.6."""
    collection = collections.find(viewer, collection_id)
    query = filters.read(request.GET, matches=_MATCHES_OF_ONE_OBJECT)
    page = pages.turn_object(viewer, collection, object_id, query)
    _note(viewer, page, surface="taxii:object", feed=collection_id)
    return _answer(resources.envelope(page), headers=page.headers)


def _delete_object(request: HttpRequest, viewer: Viewer, collection_id: str, object_id: str) -> HttpResponse:
    """§5.7: the publisher takes the object back; without `match[version]` all its versions."""
    collection = collections.find(viewer, collection_id)
    collection.require_read()
    collection.require_write()
    query = filters.read(request.GET, matches=_MATCHES_OF_ONE_OBJECT)
    query = query if "match[version]" in request.GET else query.every_version()
    wanted = query.narrow(collection.selection(viewer))
    wanted = replace(wanted, stix_ids=(object_id,), added_after=None, own=True, once=False, besides=())
    found = pages.versions_of(viewer, object_id, wanted)
    if not found:
        raise NotFound
    withdrawing.withdraw_versions(viewer, object_id, {said.object_id for said in found})
    return _answer(b"{}")


def _versions(request: HttpRequest, viewer: Viewer, collection_id: str, object_id: str) -> HttpResponse:
    """§5.8."""
    collection = collections.find(viewer, collection_id)
    query = filters.read(request.GET, matches=_MATCHES_OF_VERSIONS).every_version()
    page = pages.turn_versions(viewer, collection, object_id, query)
    _note(viewer, page, surface="taxii:versions", feed=collection_id)
    return _answer(resources.versions(page), headers=page.headers)


discovery = _endpoint(GET=_discovery)
api_root = _endpoint(GET=_api_root)
status = _endpoint(GET=_status)
collections_of_viewer = _endpoint(GET=_collections)
collection = _endpoint(GET=_collection)
manifest = _endpoint(GET=_manifest)
objects = _endpoint(GET=_get_objects, POST=_add_objects)
one_object = _endpoint(GET=_get_object, DELETE=_delete_object)
versions = _endpoint(GET=_versions)


@csrf_exempt
def without_slash(request: HttpRequest, rest: str) -> HttpResponse:
    """An endpoint's path ends in a slash (§3.1); a client that leaves it out is answered all the same."""
    if rest.endswith("/"):
        raise NotFound("There is no such endpoint.")
    found = resolve(f"{request.path_info}/")
    answer: HttpResponse = found.func(request, **found.kwargs)
    return answer


def _note(viewer: Viewer, page: pages.TaxiiPage[Any], *, surface: str, feed: str) -> None:
    reads.tally(viewer, surface=surface, objects=page.published, feed=feed, places=page.places)


def _elements(body: bytes) -> list[Draft | Unreadable]:
    """The objects of the envelope. Too many of them is a 422: a 413 speaks of bytes alone (§4.2.1).

    What is not UTF-8 is not JSON (RFC 8259 §8.1), hence no envelope: a 400, wherever the bad bytes stand.
    """
    try:
        elements = parsing.read_batch(body)
    except TooLarge as error:
        raise Refused(error.detail, code=error.code, at="/objects") from error
    for each in elements:
        if isinstance(each, Unreadable) and each.refusal.code == "not-utf8":
            raise Malformed(each.refusal.message, code="not-utf8", at=f"/objects/{each.index}")
    return elements


def _status_resource(viewer: Viewer, answer: publishing.Answer) -> bytes:
    ids = resources.unversioned_ids(answer)
    return resources.status(answer, unversioned=reading.entered(viewer, ids) if ids else {})


def _uuid(text: str) -> UUID:
    try:
        return UUID(text)
    except ValueError:
        raise NotFound("There is no such status.") from None
