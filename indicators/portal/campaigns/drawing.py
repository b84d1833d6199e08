"""All that the page of one campaign draws, read once: its pictures, their twin as a table, and the reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import orjson

from indicators import reading
from indicators.campaigns import viewing
from indicators.campaigns.joining import Grade
from indicators.portal.campaigns import marks, picture
from indicators.portal.campaigns.marks import Marks, Token
from indicators.reading import carriers
from indicators.reading.selecting import Selection
from indicators.stix import vocabulary
from partners.groups import directory
from partners.portal import letters
from partners.viewer import Viewer

_MOST_STRONGEST = 6  # tokens of the picture on a phone


@dataclass(frozen=True, slots=True)
class Drawn:
    """A campaign's pictures, with the rows of their twin."""

    graph: dict[str, Any]
    marks: Marks
    wide: picture.Picture
    narrow: picture.Picture
    rows: list[dict[str, Any]]
    reasons: list[dict[str, Any]]


def drawn(viewer: Viewer, campaign_id: UUID, *, opened: Sequence[str]) -> Drawn:
    """What is drawn of a campaign that the viewer sees. Raises NotFound."""
    graph = viewing.graph(viewer, campaign_id)
    found = marks.of(graph, own_name=viewer.partner_name, opened=opened)
    said = carriers.of(viewer, {token.key for token in found.tokens if token.key is not None})
    known = letters.labs(viewer, directory.known())
    strongest = sorted(found.tokens, key=lambda token: (-len(token.labs), -token.most, token.code))[:_MOST_STRONGEST]
    few = Marks(found.labs, [token for token in found.tokens if token in strongest])
    rows = [_row(token, said.get(token.key, []) if token.key else [], known, found) for token in found.tokens]
    return Drawn(
        graph,
        found,
        picture.draw(picture.WIDE, found, most=marks.MOST_MARKS),
        picture.draw(picture.NARROW, few, most=marks.MOST_MARKS),
        rows,
        _reasons(graph["reasons"], found.tokens),
    )


def _row(
    token: Token, said: Sequence[carriers.Carrier], known: Mapping[UUID, letters.Lab], found: Marks
) -> dict[str, Any]:
    """A line of the twin: who published it as far as the viewer sees, and in which labs it is."""
    own = next((lab.id for lab in found.labs if lab.own), "")
    sources = {known.get(each.source.id, letters.VEILED) for each in said}
    others = sum(lab != own for lab in token.labs)
    named = sum(lab.shown == "named" for lab in sources)
    return {
        "token": token,
        "ours": token.labs.get(own, 0),
        "others": sum(count for lab, count in token.labs.items() if lab != own),
        "purity": f"{token.purity:.0%}" if token.purity is not None else "",
        "sources": sorted(sources, key=lambda lab: (lab.shown != "us", lab.shown == "veiled", lab.name)),
        "unnamed": range(max(0, others - named)),
        "open_in": next((each.stix_id for each in said), ""),
    }


def _reasons(told: Sequence[Mapping[str, Any]], tokens: Sequence[Token]) -> list[dict[str, Any]]:
    """Why it is together, each with the mark of the picture that it is of."""
    found = []
    for reason in told:
        word = reason["grade"] != Grade.CORROBORATED
        codes = [token.code for token in tokens if token.subkind == reason["subkind"] and token.word == word]
        found.append({"sentence": reason["sentence"], "corroborated": not word, "code": next(iter(codes), "")})
    return found


def did(viewer: Viewer, stix_ids: Sequence[str]) -> list[dict[str, Any]]:
    """What each publisher whom the viewer sees did with what its indicators in the campaign say."""
    if not stix_ids:
        return []
    found = reading.page(viewer, Selection(stix_ids=tuple(stix_ids)), limit=1_000).statements
    acts: dict[str, Counter[str]] = {}
    for said in found:
        extension = vocabulary.extension_of(orjson.loads(said.body)) or {}
        action = extension.get("publisher_action")
        acts.setdefault(said.publisher_name, Counter())[action if isinstance(action, str) else "observed"] += 1
    return [
        {"name": name, "count": each.total(), "acts": sorted(each.items(), key=lambda one: (-one[1], one[0]))}
        for name, each in sorted(acts.items(), key=lambda one: (-one[1].total(), one[0]))
    ]
