"""What objects are called where a list names them by id; a relationship, whose own title is its verb, by its ends."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from typing import NamedTuple

import orjson
from django.db.models import F, QuerySet

from indicators.models import StixObject
from indicators.stix import identifiers
from partners.viewer import Viewer

_RELATIONSHIP = "relationship"


class Related(NamedTuple):
    """What a relationship says: the ids of its ends, in lower case and empty where it names none, and its verb."""

    source: str
    verb: str
    target: str


def related(body: str) -> Related | None:
    """What this object says, where it is a relationship. Pure."""
    data = orjson.loads(body)
    if data.get("type") != _RELATIONSHIP:
        return None
    ends = (identifiers.folded(str(data.get(name, ""))) for name in ("source_ref", "target_ref"))
    return Related(next(ends), str(data.get("relationship_type", "related-to")).replace("-", " "), next(ends))


def relationship(said: Related, titles: Mapping[str, str]) -> str:
    """A relationship in words, by the titles of its ends; of an end without one its type. Pure."""
    return f"{_end(said.source, titles)} {said.verb} {_end(said.target, titles)}"


def _end(stix_id: str, titles: Mapping[str, str]) -> str:
    return titles.get(stix_id) or stix_id.partition("--")[0] or "?"


def titles(viewer: Viewer, stix_ids: Collection[str]) -> dict[str, str]:
    """The titles of those among these ids that the viewer may see; all others look alike: they are left out.

    One query, and two where relationships are among them.
    """
    found = _stored(viewer, stix_ids)
    links = [stix_id for stix_id in found if stix_id.startswith(f"{_RELATIONSHIP}--")]
    return found | (of_relationships(viewer, _newest(viewer, links).values_list(_ID, "body")) if links else {})


def of_relationships(
    viewer: Viewer, bodies: Iterable[tuple[str, str]], *, called: Callable[[str], str] = str
) -> dict[str, str]:
    """Of these objects, each with its id, the relationships in words, as the viewer sees their ends. One query.

    `called` makes of a title what people are shown.
    """
    said = {stix_id: one for stix_id, body in bodies if (one := related(body)) is not None}
    ends = _stored(viewer, {end for one in said.values() for end in (one.source, one.target) if end})
    shown = {stix_id: called(title) for stix_id, title in ends.items()}
    return {stix_id: relationship(one, shown) for stix_id, one in said.items()}


_ID = "holding__stix_id"


def _stored(viewer: Viewer, stix_ids: Collection[str]) -> dict[str, str]:
    return dict(_newest(viewer, stix_ids).values_list(_ID, "title")) if stix_ids else {}


def _newest(viewer: Viewer, stix_ids: Collection[str]) -> QuerySet[StixObject]:
    return (
        StixObject.objects.visible_to(viewer)
        .filter(holding__stix_id__in=identifiers.canonical(stix_ids), holding__newest=F("pk"))
        .order_by("pk")
    )
