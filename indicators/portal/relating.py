"""What is related to an object, both ways: relationships that name it, with their other end, and references."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import orjson

from exchange.templatetags import house
from indicators import reading
from indicators.portal import rows
from indicators.portal.rows import Row
from indicators.reading import referring
from indicators.reading.selecting import Selection
from indicators.stix import identifiers
from partners.viewer import Viewer

#: Relationships of one object that are shown, newest first.
MOST = 600


@dataclass(frozen=True, slots=True)
class Related:
    """One relationship: what it says, and its other end as the viewer sees it; `end` is None where it sees nothing."""

    verb: str
    stix_id: str  # of the relationship
    other: str
    end: Row | None


@dataclass(frozen=True, slots=True)
class Relations:
    """From the object to others, and to it from others."""

    outgoing: list[Related]
    incoming: list[Related]
    more: bool

    @property
    def any(self) -> bool:
        """Whether there are any."""
        return bool(self.outgoing or self.incoming)


def of(viewer: Viewer, stix_id: str) -> Relations:
    """The relationships of an id, with their ends in words. Queries do not grow with them."""
    here = identifiers.folded(stix_id)
    links = [one for one in referring.links(viewer, [here], at_most=MOST + 1) if one.startswith("relationship--")]
    said = _statements(viewer, links[:MOST])
    ends = [(one, orjson.loads(one.body)) for one in said]
    others = {
        identifiers.folded(str(data.get(name, ""))) for _, data in ends for name in ("source_ref", "target_ref")
    } - {here, ""}
    there = {row.stix_id: row for row in rows.of(viewer, _statements(viewer, sorted(others)))}
    outgoing, incoming = [], []
    for one, data in ends:
        source, target = (identifiers.folded(str(data.get(name, ""))) for name in ("source_ref", "target_ref"))
        verb = str(data.get("relationship_type", "related-to")).replace("-", " ")
        if source == here:
            outgoing.append(Related(verb, one.stix_id, target, there.get(target)))
        elif target == here:
            incoming.append(Related(verb, one.stix_id, source, there.get(source)))
    return Relations(outgoing, incoming, more=len(links) > MOST)


def ends_of(viewer: Viewer, body: str) -> tuple[str, Row | str, Row | str] | None:
    """Of a relationship: its verb and its two ends, as rows, or as ids where the viewer sees nothing there."""
    data = orjson.loads(body)
    if data.get("type") != "relationship":
        return None
    ends = [identifiers.folded(str(data.get(name, ""))) for name in ("source_ref", "target_ref")]
    there = {row.stix_id: row for row in rows.of(viewer, _statements(viewer, ends))}
    verb = str(data.get("relationship_type", "related-to")).replace("-", " ")
    return verb, there.get(ends[0], ends[0]), there.get(ends[1], ends[1])


def in_words(verb: str, source: Row | str, target: Row | str) -> str:
    """What `ends_of` says, in one line; of an end that the viewer sees nothing of its type."""
    called = (house.titled(end.title) if isinstance(end, Row) else end.partition("--")[0] for end in (source, target))
    return f"{next(called)} {verb} {next(called)}"


def _statements(viewer: Viewer, stix_ids: Sequence[str]) -> list[reading.Statement]:
    """One statement of each id: the viewer's line of it."""
    if not stix_ids:
        return []
    found = reading.page(viewer, Selection(stix_ids=tuple(stix_ids), once=True), limit=2 * MOST)
    return found.statements
