"""One id: what each publisher says under it, in plain words, with its matches, its versions and its exact bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.views.decorators.http import require_POST, require_safe

from exchange import clock
from exchange.errors import Conflict, ExchangeError, NotFound, Refused
from exchange.parameters import Parameters
from exchange.stix import words
from exchange.stix.patterns import tokens_in
from indicators import detectors, excerpts, matching, reading
from indicators.ending import withdrawing
from indicators.opinions import giving
from indicators.portal import showing
from indicators.reading import referring
from indicators.stix import objects, vocabulary
from indicators.stix.drafts import Ref
from partners.groups.directory import names_of_audience
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_REFS = 200
_MATCHES = 50
#: The pattern type of indicators that only our extension can say (`stix.making`).
_NO_PATTERN = "x-exchange"


@require_safe
@page
def indicator(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponse:
    """The page of one id. The same 404 for what is absent and what is invisible."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    versions = reading.statements(viewer, stix_id, versions="all")
    reading.note(viewer, versions, surface="portal:indicator")
    latest = [said for said in versions if said.latest] or versions[-1:]
    joined = reading.merged(latest)
    refs = referring.of(viewer, [said.object_id for said, _ in joined])
    merged = [_statement(viewer, said, same, refs.get(said.object_id, ())) for said, same in joined]
    found = matching.among(viewer, [said.object_id for said in latest], limit=_MATCHES)
    shown = excerpts.shown(viewer, stix_id)
    for (_, same), statement in zip(joined, merged, strict=True):
        publishers = {one.publisher_id for one in same}
        statement["excerpts"] = [each for each in shown if each.partner_id in publishers]
    titles = reading.titles(viewer, {ref for said in merged for ref in said["ref_ids"]})
    for said in merged:
        said["refs"] = [
            (name, ref, titles.get(ref), said["said"].claimed == ref and name == "created by")
            for name, ref in said["ref_pairs"]
        ]
    return show(
        request,
        viewer,
        "indicators/detail.html",
        here="indicators",
        stix_id=stix_id,
        first=merged[0],
        judged=giving.read(viewer, stix_id),
        may_judge=Scope.REACT in viewer.scopes,
        reasons=words.REASONS_OF_CAMPAIGNS if stix_id.startswith("campaign--") else words.REASONS,
        statements=merged,
        matches=[(each, [end for end in each.ends if end.stix_id != stix_id]) for each in found],
        older=[said for said in versions if not said.latest],
        may_excerpt=Scope.PUBLISH in viewer.scopes
        and any(said.publisher_id == viewer.partner_id and said.kind == excerpts.KIND for said in latest),
        may_withdraw=Scope.PUBLISH in viewer.scopes
        and any(said.publisher_id == viewer.partner_id for said in versions),
    )


@require_safe
@page
def raw(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponse:
    """The exact bytes of the first statement that the viewer may see, or of one publisher's, as a file."""
    publisher = Parameters(request, known=("publisher",)).text("publisher")
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    found = reading.statements(viewer, stix_id)
    said = next((one for one in found if publisher in ("", one.publisher_slug)), None)
    if said is None:
        raise NotFound
    reading.note(viewer, [said], surface="portal:raw")
    return HttpResponse(
        said.body.encode(),
        content_type="application/stix+json;version=2.1",
        headers={"Content-Disposition": f'attachment; filename="{stix_id}.json"'},
    )


@require_POST
@page
def judge(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Give the partner's opinion on what somebody else published, or have a second person confirm one."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    try:
        if request.POST.get("do") == "confirm":
            giving.confirm(viewer, stix_id)
        else:
            chosen, reason = request.POST.get("opinion", ""), request.POST.get("reason", "")
            giving.give(viewer, stix_id, opinion=chosen, reason=reason)
    except (Conflict, Refused) as refused:
        messages.error(request, refused.detail)
    else:
        messages.success(request, "Your opinion is given. Whoever sees the object through the same groups reads it.")
    return redirect("indicator", stix_id)


@require_POST
@page
def excerpt(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Send an excerpt of what the viewer's partner published under this id; it waits for a second person."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    reading.own_object(viewer, stix_id)
    data = excerpts.made(stix_id, request.POST.get("text", "").strip().replace("\r\n", "\n"))
    try:
        excerpts.send(viewer, data, orjson.dumps(data))
        messages.success(request, "It waits for a second person of yours.")
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    return redirect("indicator", stix_id)


@require_POST
@page
def withdraw(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Take back what the viewer itself published under this id."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    said = "Withdrawn. Whoever held it is told to drop it."
    if withdrawing.withdraw(viewer, [stix_id]):
        said += " It can come back for an hour: see Waiting."
    messages.success(request, said)
    return redirect("indicators")


def _statement(
    viewer: Viewer, said: reading.Statement, same: list[reading.Statement], found: Sequence[Ref]
) -> dict[str, Any]:
    """One statement as the template shows it."""
    data: dict[str, Any] = orjson.loads(said.body)
    extension = vocabulary.extension_of(data)
    refs = list(islice(_shown(found), _MAX_REFS))
    code = showing.code(dict(extension)) if extension else []
    pattern = data.get("pattern")
    own = next((one for one in same if one.publisher_id == viewer.partner_id), None)
    return {
        "said": said,
        "publishers": [one.publisher_name for one in same],
        "suspended": any(one.publisher_suspended for one in same),
        "kind_name": showing.kind_name(said.kind, said.stix_type),
        "tlp": Tlp(said.tlp).word,
        "state": showing.state(said, clock.now()),
        "facts": showing.facts(dict(extension)) if extension else [],
        "detector": detectors.names(viewer).get(vocabulary.detector_of(data) or "") if own else None,
        "code": code,
        "description": data.get("description") if isinstance(data.get("description"), str) else "",
        "pattern": pattern if isinstance(pattern, str) and not code and data.get("pattern_type") != _NO_PATTERN else "",
        "tokens": tokens_in(extension) if extension else [],
        "marks": showing.marks(said),
        "labels": _strings(data.get("labels"))[:20],
        "ref_pairs": refs,
        "ref_ids": {ref for _, ref in refs},
        "audience": names_of_audience(reading.audience_of(viewer, own.object_id)) if own else None,
    }


def _strings(value: Any) -> list[str]:
    """The strings of a list; a publisher may have put anything in its place."""
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _shown(found: Iterable[Ref]) -> Iterator[tuple[str, str]]:
    """References in words: the name of the property and the id; markings and extensions are told elsewhere."""
    for ref in found:
        if not ref.target.startswith(referring.COMMON_TYPES):
            parts = ref.path.split("/")
            name = next((part for part in reversed(parts) if part.endswith(("_ref", "_refs"))), parts[-1])
            yield name.removesuffix("_refs").removesuffix("_ref").replace("_", " "), ref.target
