"""What a key for some of its partner's groups may not touch, though its partner published it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from django.db import connection

from exchange.errors import Forbidden
from indicators import stored
from indicators.publishing.results import OF_OTHER_GROUPS, Element
from indicators.stix import tlp
from indicators.stix.drafts import Draft, Refusal
from partners.models import Audience
from partners.tlp import Tlp
from partners.viewer import Viewer


def beyond_the_key(held: Mapping[str, stored.Versions], *, by: Viewer) -> set[str]:
    """Ids that such a key may not revise: what its partner shares with other groups is not its to change."""
    if not by.limited:
        return set()
    shared = Audience.objects.filter(publisher=by.partner_id).exclude(groups__contained_by=sorted(by.group_ids))
    other = set(shared.values_list("pk", flat=True))
    return {
        stix_id
        for stix_id, versions in held.items()
        if any(version.latest and version.audience_id in other for version in versions.values())
    }


def barred(elements: Iterable[Element], held: Mapping[str, stored.Versions], *, by: Viewer) -> dict[str, Refusal]:
    """Ids that such a key may not push, with why: also of markings whose definition would move what is beyond it."""
    if not by.limited:
        return {}
    why = dict.fromkeys(beyond_the_key(held, by=by), OF_OTHER_GROUPS)
    return why | dict.fromkeys(_marking_others(elements, by=by), _MARKS_OTHERS)


_MARKS_OTHERS = Refusal(
    "key-limited-to-groups",
    "/id",
    "Objects in groups that this key is not for name this marking, and would be shown to others than now: push its"
    " definition with a key for all groups.",
)


def _marking_others(elements: Iterable[Element], *, by: Viewer) -> set[str]:
    """The markings that are defined, of which the definition would narrow or release what is not for this key."""
    said = {
        element.stix_id: Tlp.from_word(word) if (word := tlp.word_in(element.data)) else Tlp.CLEAR
        for element in elements
        if isinstance(element, Draft) and element.stix_type == "marking-definition"
    }
    if not said:
        return set()
    asked: dict[str, Any] = {"by": by.partner_id, "groups": sorted(by.group_ids)}
    asked |= {"ids": list(said), "said": list(said.values())}
    with connection.cursor() as cursor:
        cursor.execute(_MARKED, asked)
        return {stix_id for (stix_id,) in cursor.fetchall()}


# A row for each marking that a version of another group names and that is stricter than its audience, or that one for
# another group waits for. Walks `marked_by_marking`.
_MARKED = """
SELECT defined.id
FROM unnest(%(ids)s::text[], %(said)s::smallint[]) AS defined(id, tlp)
WHERE EXISTS (
    SELECT FROM indicators_marked m
    JOIN indicators_stixobject o ON o.id = m.object_id
    JOIN indicators_holding h ON h.id = o.holding_id
    JOIN partners_audience a ON a.id = h.audience_id AND a.use = 'objects'
    WHERE m.partner_id = %(by)s AND m.marking = lower(defined.id)
      AND (a.tlp < defined.tlp AND NOT a.groups <@ %(groups)s::uuid[]
           OR m.asked IS NOT NULL AND NOT ARRAY(SELECT jsonb_array_elements_text(m.asked -> 'groups'))::uuid[]
                                          <@ %(groups)s::uuid[]))
"""


def require_within(held: Mapping[str, stored.Versions], *, by: Viewer, ids: Iterable[str]) -> None:
    """Raise Forbidden unless the key may touch all of these holdings."""
    if beyond_the_key(held, by=by) & set(ids):
        raise Forbidden("This key is for other groups than the object is shared with.", code="key-limited-to-groups")
