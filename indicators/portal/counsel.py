"""One group for counsel: its terms, what the door admits in words, what was shared, and the rules that software keeps.

What the door admits is read from the schemas that it validates by, so the page cannot say otherwise than the door does.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.http import HttpRequest, HttpResponse
from django.utils.translation import gettext
from django.views.decorators.http import require_safe

from exchange import clock
from exchange.sql import ask
from exchange.stix import schemas, wording, words
from exchange.translating import per_language
from indicators.portal import asking
from partners.groups import membership
from partners.models import Group
from partners.portal.access import page, show
from partners.sharing import audience_ids, why_closed
from partners.viewer import Viewer

#: So many objects of one audience are counted, at most.
MOST = 100_000


@dataclass(frozen=True, slots=True)
class Admitted:
    """One property: its name in plain words, what it may say, and whether it must be said."""

    name: str
    says: str
    required: bool


@require_safe
@page
def counsel(request: HttpRequest, viewer: Viewer, slug: str) -> HttpResponse:
    """The page; to whoever may see the group's own page, and to nobody else."""
    found: Any = membership.find(viewer, slug)
    return show(
        request,
        viewer,
        "indicators/counsel.html",
        here="groups-page",
        group=found,
        closed=why_closed(found, on=clock.now().date()),
        memberships=sorted(found.open_memberships, key=lambda one: (one.since, one.partner.name)),
        inside=any(one.partner_id == viewer.partner_id for one in found.open_memberships),
        is_closed_facts=found.policy == Group.Policy.CLOSED_FACTS,
        kinds=kinds(),
        envelope=envelope(),
        shared=shared(viewer, found.pk),
        today=clock.now(),
        actions=[_plain(word) for word in words.ACTIONS],
        interval=found.interval_s,
    )


@per_language
def kinds() -> list[dict[str, Any]]:
    """The three kinds: what each says besides, and by which subkinds, each with what it carries."""
    return [
        {
            "kind": kind,
            "says": [_admitted(name, schema, required=True) for name, schema in _own(kind)],
            "subkinds": [(_plain(subkind), carried(subkind)) for subkind in subkinds],
        }
        for kind, subkinds in words.SUBKINDS.items()
    ]


def _own(kind: str) -> Iterator[tuple[str, schemas.Schema]]:
    """What the kind says that others do not, by the schema of its first subkind without what it carries."""
    first = words.SUBKINDS[kind][0]
    common = {name for name, _ in _of_all()}
    for name, schema in schemas.of_subkind(first)["properties"].items():
        if name not in common and name != words.CARRIED_BY[first]:
            yield name, schema


@per_language
def envelope() -> list[Admitted]:
    """What every indicator may say, what must be said first."""
    required = set(schemas.extension()["required"])
    found = [_admitted(name, schema, required=name in required) for name, schema in _of_all()]
    return sorted(found, key=lambda one: not one.required)


def _of_all() -> list[tuple[str, schemas.Schema]]:
    """The properties that all subkinds have, without those that only name the schema."""
    every = [schemas.of_subkind(subkind)["properties"] for subkind in words.KIND_OF]
    named = {"extension_type", "kind", "subkind", "schema_version"}
    return [
        (name, schema)
        for name, schema in every[0].items()
        if name not in named and all(name in properties for properties in every)
    ]


def carried(subkind: str) -> str:
    """What a subkind matches on, in words."""
    carrier = words.CARRIED_BY[subkind]
    if carrier == "tokens":
        key = gettext("a key of the group") if subkind in words.OF_GROUP_KEY else gettext("a key that no member holds")
        return gettext(
            "1 to 4 tokens: the value made unreadable under {key}; the value itself never leaves its lab"
        ).format(key=key)
    return _says(subkind, schemas.of_subkind(subkind)["properties"][carrier])


def _admitted(name: str, schema: schemas.Schema, *, required: bool) -> Admitted:
    return Admitted(_plain(name), _says(name, schema), required)


def _says(name: str, schema: schemas.Schema) -> str:
    """What a schema admits, in words."""
    if schema == schemas.BUCKET:
        return gettext("a power of ten, never an exact number")
    if "enum" in schema:
        return gettext("one of: {words}").format(words=", ".join(_plain(str(one)) for one in schema["enum"]))
    if "anyOf" in schema:
        return gettext("a share in powers of ten with its sample size, or not measured")
    if schema.get("type") == "array":
        return gettext("up to {most}: {says}").format(most=schema["maxItems"], says=_says(name, schema["items"]))
    if schema.get("type") == "object":
        return _of_object(schema)
    return _lower(wording.FORMS.get(name) or schema.get("description") or gettext("a text of a fixed form"))


def _of_object(schema: schemas.Schema) -> str:
    properties = schema["properties"]
    if "all" in properties:
        condition = properties["all"]["items"]["properties"]
        features = ", ".join(_plain(one) for one in condition["feature"]["enum"])
        return gettext("up to {most} conditions on: {features}; numbers of a published list alone").format(
            most=properties["all"]["maxItems"], features=features
        )
    parts = [f"{_plain(name)}: {_says(name, each)}" for name, each in properties.items()]
    return "; ".join(parts)


def _plain(word: str) -> str:
    return word.replace("_", " ")


def _lower(sentence: str) -> str:
    text = sentence.rstrip(".")
    return text if text[:2].isupper() or text[:2] == "d-" else text[0].lower() + text[1:]


def shared(viewer: Viewer, group: UUID) -> list[tuple[str, str, str]]:
    """By kind what lives in the group, by the viewer's partner and by others, as the viewer sees it: powers of ten."""
    asked = {"audiences": audience_ids(viewer), "group": [group], "me": viewer.partner_id, "most": MOST}
    found = {(kind, own): count for kind, own, count in ask(_SHARED, asked)}
    return [
        (kind, bucket(found.get((kind, True), 0)), bucket(found.get((kind, False), 0)))
        for kind in (*asking.KINDS, "other")
    ]


def bucket(count: int) -> str:
    """A count as it is told: none, or the power of ten below it. Pure."""
    if not count:
        return gettext("none")
    if count < 10:
        return gettext("under 10")
    floor = 10 ** (len(str(count)) - 1)
    return gettext("{floor} or more").format(floor=f"{floor:,}")


# A row for each kind, and for ours and others': of each audience of the group that the viewer sees the newest that
# live, by the index over audience and id.
_SHARED = """
SELECT coalesce(held.kind, 'other'), a.publisher_id = %(me)s, count(*)
FROM partners_audience a CROSS JOIN LATERAL (
    SELECT h.kind FROM indicators_holding h
    WHERE h.audience_id = a.id AND h.state = 'live' AND h.newest_id IS NOT NULL
    ORDER BY h.id DESC LIMIT %(most)s
) held
WHERE a.id = ANY(%(audiences)s) AND a.groups @> %(group)s::uuid[]
GROUP BY 1, 2
"""
