"""One id: the verdict, what each lab says, who sees it and why, its relations, its versions and its exact bytes."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import orjson
from django.contrib import messages
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.shortcuts import redirect
from django.utils.translation import gettext
from django.views.decorators.http import require_POST, require_safe

from exchange import clock
from exchange.errors import ExchangeError, NotFound
from exchange.parameters import Parameters
from exchange.stix import words
from exchange.stix.patterns import tokens_in
from exchange.templatetags import house
from indicators import detectors, excerpts, matching, reading
from indicators.door import gates
from indicators.opinions import appealing, giving, recording, sighting
from indicators.portal import comparing, judging, life, relating, rows, showing, verdict, whose
from indicators.reading import referring, titling
from indicators.reading.selecting import Selection
from indicators.stix import identifiers, objects, vocabulary
from indicators.stix.drafts import Ref
from partners.groups import directory
from partners.models import Audience
from partners.portal import letters
from partners.portal.access import page, show
from partners.scopes import Scope
from partners.tlp import Tlp
from partners.viewer import Viewer

_MAX_REFS = 200
_MAX_LABELS = 20
_MATCHES = 50
_VERSIONS_COMPARED = 20
_ENDS = 8
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
    found = matching.among(viewer, [said.object_id for said in latest], limit=_MATCHES + 1)
    more_matches, found = len(found) > _MATCHES, found[:_MATCHES]
    shown = excerpts.shown(viewer, stix_id)
    for (_, same), statement in zip(joined, merged, strict=True):
        publishers = {one.publisher_id for one in same}
        statement["excerpts"] = [each for each in shown if each.partner_id in publishers]
    titles = titling.titles(viewer, {ref for said in merged for ref in said["ref_ids"]})
    for said in merged:
        said["refs"] = [
            (
                name,
                ref,
                house.titled(titles.get(ref, "")),
                said["said"].claimed == ref and name == "created by",
            )
            for name, ref in said["ref_pairs"]
        ]
    judged = giving.read(viewer, stix_id)
    own = next((said for said in latest if said.publisher_id == viewer.partner_id), None)
    partners = list(directory.known())
    known = letters.labs(viewer, partners)
    first = merged[0]
    beside = _beside(viewer, latest, found)
    audience = reading.audience_of(viewer, own.object_id) if own else _audience(first["said"].audience_id)
    campaigns = rows.campaigns_of(viewer, [stix_id])
    sighted = sighting.read(viewer, stix_id)
    changed, not_compared = _changes(versions)
    ends = relating.ends_of(viewer, first["said"].body)
    return show(
        request,
        viewer,
        "indicators/detail.html",
        here="indicators",
        stix_id=stix_id,
        first=first,
        verdict=_verdict(viewer, first, beside, judged, own=own is not None) if first["said"].kind else [],
        beside=comparing.same_value(viewer, known, beside, here=stix_id) if first["said"].kind else [],
        judged=judged,
        **(judging.of(viewer, stix_id) if any(not one.own for one in judged) else {}),
        may_judge=Scope.REACT in viewer.scopes and any(not one.own for one in judged),
        is_campaign=stix_id.startswith("campaign--"),
        reasons=words.REASONS_OF_CAMPAIGNS if stix_id.startswith("campaign--") else words.REASONS,
        sighted=[(one, life.hour_of(one.first_seen), life.hour_of(one.last_seen)) for one in sighted],
        more_sighted=len(sighted) == sighting.MOST,
        life=_life(versions, beside, judged, sighted) if first["said"].kind else None,
        statements=merged,
        more_matches=more_matches,
        most_matches=_MATCHES,
        matches=[_match(each, stix_id) for each in found],
        older=[said for said in versions if not said.latest],
        changed=changed,
        not_compared=not_compared,
        related=relating.of(viewer, stix_id),
        ends=ends,
        title=house.titled(relating.in_words(*ends) if ends else first["said"].title),
        campaign=campaigns.get(stix_id),
        own=own,
        readers=whose.readers(viewer, audience, partners, known) if own else None,
        bases=whose.bases(viewer, audience),
        appeals=_appeals(viewer, stix_id) if own else [],
        labs=known,
        may_prove=Scope.AUDIT in viewer.scopes,
        may_excerpt=Scope.PUBLISH in viewer.scopes and own is not None and own.kind == excerpts.KIND,
        may_withdraw=Scope.PUBLISH in viewer.scopes
        and any(said.publisher_id == viewer.partner_id for said in versions),
    )


def _match(found: matching.Match, stix_id: str) -> dict[str, Any]:
    """A match with some of the objects beside this one, and how many more it names; `cut` where it names not all."""
    others = [end for end in found.ends if end.stix_id != stix_id]
    return {
        "match": found,
        "others": others[:_ENDS],
        "more": max(0, len(others) - _ENDS),
        "cut": any(len(side.ends) >= matching.MOST_ENDS for side in found.sides),
    }


def _life(
    versions: Sequence[reading.Statement],
    beside: Sequence[reading.Statement],
    judged: Sequence[giving.Judged],
    sighted: Sequence[sighting.Sighted],
) -> life.Timeline | None:
    latest = next((said for said in versions if said.latest), versions[-1])
    extension = dict(vocabulary.extension_of(orjson.loads(latest.body)) or {})
    return life.of(versions, beside, judged, sighted, extension=extension, now=clock.now())


def _beside(viewer: Viewer, latest: Sequence[reading.Statement], found: Sequence[Any]) -> list[reading.Statement]:
    """What is said under the id, and the objects of others that carry the same value. One look-up."""
    ends = {end.object_id: end.stix_id for match in found for end in match.ends if not end.overlapping}
    missing = tuple({stix_id for key, stix_id in ends.items() if key not in {said.object_id for said in latest}})
    others = reading.page(viewer, Selection(stix_ids=missing), limit=_MATCHES).statements if missing else []
    return [*latest, *(said for said in others if said.object_id in ends)]


def _appeals(viewer: Viewer, stix_id: str) -> list[appealing.Shown]:
    """The open appeals on an object of the viewer's own. One query."""
    if Scope.PUBLISH not in viewer.scopes:
        return []
    return [one for one in appealing.received(viewer) if one.stix_id == identifiers.folded(stix_id)]


def _audience(audience_id: int) -> Audience:
    return Audience.objects.get(pk=audience_id)


def _verdict(
    viewer: Viewer,
    first: dict[str, Any],
    beside: Sequence[reading.Statement],
    judged: Sequence[giving.Judged],
    *,
    own: bool,
) -> list[verdict.Piece]:
    said: reading.Statement = first["said"]
    bodies = {one.publisher_id: one for one in beside}
    named = {one.publisher_id for one in beside if one.attribution == 0 or one.publisher_id == viewer.partner_id}
    extensions = [dict(vocabulary.extension_of(orjson.loads(one.body)) or {}) for one in bodies.values()]
    said_by_all = [given for one in judged for given in one.opinions]
    counted = [recording.SAYS[given.opinion] for given in judged[0].opinions if not given.suspended]
    known = verdict.Known(
        control=str(first["extension"].get("control", "")),
        subkind=said.subkind or "",
        kind_name=first["kind_name"],
        labs=len(named),
        unnamed=len(bodies) > len(named),
        standing=judged[0].standing,
        confirm=sum(each > 0 for each in counted),
        dissent=sum(each < 0 for each in counted),
        confidence=said.confidence,
        until=said.valid_until,
        state=first["state"],
        did=tuple(str(one.get("publisher_action", "")) for one in extensions),
        own=own,
        mine=next((recording.SAYS[each.opinion] for each in said_by_all if each.partner.id == viewer.partner_id), None),
    )
    return verdict.sentence(known, now=clock.now())


def _changes(
    versions: Sequence[reading.Statement],
) -> tuple[list[tuple[reading.Statement, list[comparing.Changed]]], int]:
    """The newest versions with what each changed, and of how many more that is not told; the first of each is none."""
    before: dict[Any, reading.Statement] = {}
    found = []
    for said in sorted(versions, key=lambda one: one.seq):
        former = before.get(said.publisher_id)
        if former is not None and former.object_id != said.object_id:
            found.append((former, said))
        before[said.publisher_id] = said
    newest = found[::-1][:_VERSIONS_COMPARED]
    return [(said, comparing.changes(former.body, said.body)) for former, said in newest], len(found) - len(newest)


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
def excerpt(request: HttpRequest, viewer: Viewer, stix_id: str) -> HttpResponseBase:
    """Send an excerpt of what the viewer's partner published under this id; it waits for a second person."""
    if not objects.ID.fullmatch(stix_id):
        raise NotFound
    reading.own_object(viewer, stix_id)
    data = excerpts.made(stix_id, request.POST.get("text", "").strip().replace("\r\n", "\n"))
    try:
        excerpts.send(viewer, data, orjson.dumps(data))
        messages.success(request, gettext("It waits for a second person of yours."))
    except ExchangeError as refused:
        viewer.require(Scope.PUBLISH)
        messages.error(request, refused.detail)
    return redirect("indicator", stix_id)


def _statement(
    viewer: Viewer, said: reading.Statement, same: list[reading.Statement], found: Sequence[Ref]
) -> dict[str, Any]:
    """One statement as the template shows it."""
    data: dict[str, Any] = orjson.loads(said.body)
    extension = dict(vocabulary.extension_of(data) or {})
    refs = list(_shown(found))
    more_refs, refs = max(0, len(refs) - _MAX_REFS), refs[:_MAX_REFS]
    labels = _strings(data.get("labels"))
    code = showing.code(extension) if extension else []
    pattern = data.get("pattern")
    own = next((one for one in same if one.publisher_id == viewer.partner_id), None)
    return {
        "said": said,
        "extension": extension,
        "value": rows.value_of(said, extension),
        "most_days": gates.longest(extension).total_seconds() / 86_400 if extension else None,
        "publishers": [one.publisher_name for one in same],
        "suspended": any(one.publisher_suspended for one in same),
        "kind_name": showing.kind_name(said.kind, said.stix_type),
        "tlp": Tlp(said.tlp).word,
        "state": showing.state(said, clock.now()),
        "facts": showing.facts(extension) if extension else [],
        "measured": showing.measured(said.benign_hits),
        "detector": detectors.names(viewer).get(vocabulary.detector_of(data) or "") if own else None,
        "code": code,
        "description": data.get("description") if isinstance(data.get("description"), str) else "",
        "pattern": pattern if isinstance(pattern, str) and not code and data.get("pattern_type") != _NO_PATTERN else "",
        "tokens": tokens_in(extension) if extension else [],
        "marks": showing.marks(said),
        "labels": labels[:_MAX_LABELS],
        "more_labels": max(0, len(labels) - _MAX_LABELS),
        "more_refs": more_refs,
        "ref_pairs": refs,
        "ref_ids": {ref for _, ref in refs},
        "tree": comparing.tree(said.body),
        "audience": directory.names_of_audience(reading.audience_of(viewer, own.object_id)) if own else None,
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
