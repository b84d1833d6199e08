"""What points where, for one viewer: references of versions that it may see, and what points to an id.

Both ways read what `stix.references` found at publication; no body is read.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from django.db import connection

from indicators.models import Reference
from indicators.stix.drafts import Ref
from indicators.stix.references import ENDS
from partners.sharing import audience_ids
from partners.viewer import Viewer

#: Types that link objects from outside.
LINKING_TYPES = ("relationship", "sighting")
#: Ids of these types are named by nearly every object; they are no parts of what it tells.
COMMON_TYPES = ("extension-definition--", "marking-definition--")


def of(viewer: Viewer, object_ids: Collection[int]) -> dict[int, list[Ref]]:
    """What each of these versions points to, in the order of its properties; by key. One query, none for none."""
    if not object_ids:
        return {}
    found = Reference.objects.visible_to(viewer).filter(version__in=object_ids).order_by("version_id", "place")
    by_version: dict[int, list[Ref]] = {}
    for version_id, path, target in found.values_list("version_id", "path", "target_id"):
        by_version.setdefault(version_id, []).append(Ref(path, target))
    return by_version


def targets(viewer: Viewer, object_ids: Collection[int]) -> set[str]:
    """The ids that these versions point to, each once. One query, none for none."""
    if not object_ids:
        return set()
    found = Reference.objects.visible_to(viewer).filter(version__in=object_ids)
    return set(found.values_list("target_id", flat=True).distinct())


def links(viewer: Viewer, stix_ids: Sequence[str], *, at_most: int) -> list[str]:
    """The relationships and sightings that link one of these ids (in lower case), newest first. Two queries.

    It reads as many rows as there are links of these ids, whatever else is stored; authors and markings, to which
    everything points, cost nothing.
    """
    if not stix_ids:
        return []
    parameters: dict[str, Any] = {
        "targets": list(stix_ids),
        "ends": list(ENDS),
        "types": list(LINKING_TYPES),
        "audiences": audience_ids(viewer),
        "most": at_most,
    }
    with connection.cursor() as cursor:
        cursor.execute(_LINKS, parameters)
        return list(dict.fromkeys(stix_id for (stix_id,) in cursor.fetchall()))


# A row for each end of a living link, newest first. Walks reference_by_target and then the versions by key, whatever
# PostgreSQL believes where it has no statistics: the audience is no way to them.
_LINKS = """
SELECT o.stix_id
FROM (
    SELECT version_id FROM indicators_reference WHERE target_id = ANY(%(targets)s) AND path = ANY(%(ends)s) OFFSET 0
) r
CROSS JOIN LATERAL (
    SELECT o.id, h.stix_id
    FROM indicators_stixobject o JOIN indicators_holding h ON h.id = o.holding_id AND h.newest_id = o.id
    WHERE o.id = r.version_id AND h.state <> 'revoked' AND h.stix_type = ANY(%(types)s)
      AND h.audience_id + 0 = ANY(%(audiences)s)
    LIMIT 1
) o
ORDER BY o.id DESC
LIMIT %(most)s
"""
