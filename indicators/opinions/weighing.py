"""Usefulness: what a partner's indicators were good for to others, told to their publisher alone.

Who holds, met, blocked and disagrees are told as buckets over three or more partners, and computed at most once per
interval of the publisher's groups (an hour by default), so that nobody's single act moves a number (law 10). What is
the publisher's own (how soon it shared, what it gives and takes itself) is told exactly. The only writer of Told.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from statistics import median
from typing import Any

import orjson
from django.conf import settings
from django.db import connection, transaction

from exchange import clock
from exchange.sql import ask
from exchange.stix import words
from indicators.log.walking import BY_INDEX
from indicators.models import Holding, Told
from indicators.opinions.counting import COUNTS
from partners.models import Group
from partners.scopes import Scope
from partners.sharing import audience_ids
from partners.viewer import Viewer

#: Partners below which a number is not told, and where the buckets begin.
FEWEST = 3
BUCKETS = (3, 5, 10, 20, 50, 100)
DAYS = 90
_TENTHS = 10
#: Of very many indicators, the newest say how soon they were shared.
_MOST_READ = 2_000
WORDS = ("hold", "matched", "blocked", "disagreed")


def bucket(partners: int) -> int | None:
    """The bucket that so many partners lie in, by where it begins; None below `FEWEST`. Pure."""
    return max((one for one in BUCKETS if one <= partners), default=None)


def precision(confirms: int, dissents: int, *, partners: int) -> float | None:
    """The share of judged objects that nobody dissents from, in tenths, rounded down; None under `FEWEST` partners."""
    judged = confirms + dissents
    if partners < FEWEST or not judged:
        return None
    return (_TENTHS * confirms // judged) / _TENTHS


def of_all(viewer: Viewer) -> dict[str, Any]:
    """What all indicators of the viewer's partner were good for, by kind too, and what it gives and takes itself."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    return _told(viewer, "everything", lambda: _all_others(viewer) | {"own": _own(viewer)})


def of_one(viewer: Viewer, holding: Holding) -> dict[str, Any]:
    """The same of one indicator of the viewer's own."""
    viewer.require(Scope.PUBLISH)
    viewer.require_all_groups()
    return _told(viewer, f"holding:{holding.pk}", lambda: _counted(viewer, [holding.pk]))


def interval(viewer: Viewer) -> timedelta:
    """The longest of the viewer's groups, for a number covers all of them."""
    said = Group.objects.filter(pk__in=viewer.group_ids).values_list("interval_s", flat=True)
    default = settings.PREVALENCE_INTERVAL_S
    return timedelta(seconds=max((default if one is None else one for one in said), default=default))


def _told(viewer: Viewer, subject: str, count: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What was told last, or what is counted now where that is long enough ago."""
    now = clock.now()
    with transaction.atomic():
        row, new = Told.unrestricted.select_for_update().get_or_create(
            partner_id=viewer.partner_id, subject=subject, defaults={"at": now, "said": {}}
        )
        if new or now - row.at >= interval(viewer):
            row.at, row.said = now, count()
            row.save(update_fields=["at", "said"])
    return {"as_of": clock.rfc3339(row.at), **row.said}


def _all_others(viewer: Viewer) -> dict[str, Any]:
    own = {"own": audience_ids(viewer, own=True)}
    kinds = [kind for (kind,) in ask(_KINDS, own, settings=BY_INDEX)]
    by_kind = {kind: _counted(viewer, None, kind=kind) for kind in kinds}
    return _counted(viewer, None) | {"precision": _judged(viewer), "by_kind": by_kind}


_KINDS = """
SELECT DISTINCT h.kind FROM indicators_holding h
WHERE h.audience_id = ANY(%(own)s) AND h.newest_id IS NOT NULL AND h.kind IS NOT NULL ORDER BY 1
"""


def _counted(viewer: Viewer, holdings: list[int] | None, *, kind: str | None = None) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(
            _COUNTED,
            {
                "me": viewer.partner_id,
                "own": audience_ids(viewer, own=True),
                "holdings": holdings,
                "kind": kind,
                "since": clock.now() - timedelta(days=DAYS),
            },
        )
        return dict(zip(WORDS, map(bucket, cursor.fetchone()), strict=True))


# One row: of the publisher's own living indicators, how many other partners hold any, met any, blocked any, and
# dissent from any, in 90 days.
_COUNTED = """
WITH mine AS MATERIALIZED (
    SELECT h.id FROM indicators_holding h
    WHERE h.audience_id = ANY(%(own)s) AND h.newest_id IS NOT NULL AND h.stix_type = 'indicator'
      AND (%(holdings)s::bigint[] IS NULL OR h.id = ANY(%(holdings)s))
      AND (%(kind)s::text IS NULL OR h.kind = %(kind)s)
), active AS MATERIALIZED (
    SELECT id FROM partners_partner WHERE state = 'active' AND id <> %(me)s
)
SELECT (SELECT count(*) FROM active p WHERE EXISTS (
            SELECT FROM indicators_feedset s JOIN indicators_inforce f ON f.feed_set_id = s.id AND f.removed = ''
            JOIN mine ON mine.id = f.holding_id WHERE s.partner_id = p.id)),
       count(DISTINCT t.partner_id) FILTER (WHERE t.matched > 0 OR t.blocked > 0),
       count(DISTINCT t.partner_id) FILTER (WHERE t.blocked > 0),
       (SELECT count(DISTINCT j.partner_id) FROM indicators_opinion j JOIN mine ON mine.id = j.holding_id
        JOIN indicators_holding s ON s.id = j.said_by_id AND s.state = 'live' JOIN active ON active.id = j.partner_id
        WHERE j.says < 0)
FROM mine LEFT JOIN indicators_tally t ON t.holding_id = mine.id AND t.hour >= %(since)s
     AND t.partner_id IN (SELECT id FROM active)
"""


def _judged(viewer: Viewer) -> float | None:
    """The precision of what was published in 90 days and judged by others."""
    with connection.cursor() as cursor:
        cursor.execute(_JUDGED, {"me": viewer.partner_id, "since": clock.now() - timedelta(days=DAYS)})
        confirms, dissents, partners = cursor.fetchone()
    return precision(confirms, dissents, partners=partners)


# One row: objects that others confirm and nobody dissents from, objects that somebody dissents from, and the partners
# that judged any of them, of those that count. What has ended counts, too: it was right or wrong all the same.
_JUDGED = f"""
SELECT count(*) FILTER (WHERE NOT j.dissented AND j.confirmed), count(*) FILTER (WHERE j.dissented),
       (SELECT count(DISTINCT o.partner_id) FROM indicators_opinion o JOIN indicators_holding h ON h.id = o.holding_id
        JOIN indicators_holding s ON s.id = o.said_by_id AND s.state = 'live'
        JOIN partners_partner giver ON giver.id = o.partner_id AND {COUNTS}
        WHERE h.publisher_id = %(me)s AND o.partner_id <> %(me)s AND o.says <> 0 AND o.at >= %(since)s)
FROM (
    SELECT bool_or(o.says < 0) AS dissented, bool_or(o.says > 0) AS confirmed
    FROM indicators_opinion o JOIN indicators_holding h ON h.id = o.holding_id
    JOIN indicators_holding s ON s.id = o.said_by_id AND s.state = 'live'
    JOIN partners_partner giver ON giver.id = o.partner_id AND {COUNTS}
    WHERE h.publisher_id = %(me)s AND o.partner_id <> %(me)s AND o.at >= %(since)s
    GROUP BY o.holding_id
) j
"""


def _own(viewer: Viewer) -> dict[str, Any]:
    """What is the partner's own to know: how soon it shared, what it gives and what it uses of others."""
    since = clock.now() - timedelta(days=DAYS)
    own = audience_ids(viewer, own=True)
    with connection.cursor() as cursor:
        cursor.execute(_GIVES_AND_USES, {"me": viewer.partner_id, "own": own, "since": since})
        published, living, given, sighted, held, met = cursor.fetchone()
    return {
        "median_hours_to_share": _hours_to_share(viewer, since),
        "gives": {"published": published, "living": living, "opinions": given, "sightings": sighted},
        "uses": {"held": held, "met": met},
    }


# One row: indicators published in these days and living now, opinions and sightings in force; of others', what its own
# sets hold, and what it said that it met.
_GIVES_AND_USES = """
SELECT count(*) FILTER (WHERE h.stix_type = 'indicator' AND first.stored_at >= %(since)s),
       count(*) FILTER (WHERE h.stix_type = 'indicator' AND h.state = 'live'),
       count(*) FILTER (WHERE h.stix_type = 'opinion' AND h.state = 'live'),
       count(*) FILTER (WHERE h.stix_type = 'sighting' AND h.state = 'live'),
       (SELECT count(DISTINCT f.holding_id) FROM indicators_feedset s
        JOIN indicators_inforce f ON f.feed_set_id = s.id AND f.removed = ''
        JOIN indicators_holding o ON o.id = f.holding_id AND o.publisher_id <> %(me)s WHERE s.partner_id = %(me)s),
       (SELECT count(DISTINCT t.holding_id) FROM indicators_tally t
        WHERE t.partner_id = %(me)s AND t.hour >= %(since)s)
FROM indicators_holding h CROSS JOIN LATERAL (
    SELECT min(v.stored_at) AS stored_at FROM indicators_stixobject v WHERE v.holding_id = h.id) first
WHERE h.audience_id = ANY(%(own)s) AND h.newest_id IS NOT NULL
"""


def _hours_to_share(viewer: Viewer, since: datetime) -> float | None:
    """The median time from when an indicator says that it was first seen to its publication, of the newest."""
    asked = {"own": audience_ids(viewer, own=True), "since": since, "most": _MOST_READ}
    took: list[float] = []
    for body, stored_at in ask(_NEWEST, asked, settings=BY_INDEX):
        extensions = orjson.loads(body or "{}").get("extensions")
        extension = extensions.get(words.EXTENSION_ID) if isinstance(extensions, dict) else None
        seen = extension.get("first_seen") if isinstance(extension, dict) else None
        if isinstance(seen, str):
            with suppress(ValueError, TypeError):
                took.append((stored_at - datetime.fromisoformat(seen)).total_seconds() / 3_600)
    return round(median(took), 1) if took else None


# By the end of each audience's index: what is older is not read.
_NEWEST = """
SELECT o.body, o.stored_at
FROM (
    SELECT found.* FROM unnest(%(own)s::bigint[]) a(id) CROSS JOIN LATERAL (
        SELECT h.id, h.newest_id FROM indicators_holding h
        WHERE h.audience_id = a.id AND h.stix_type = 'indicator' ORDER BY h.id DESC LIMIT %(most)s) found
    ORDER BY found.id DESC LIMIT %(most)s
) newest CROSS JOIN LATERAL (
    SELECT v.body, v.stored_at FROM indicators_stixobject v WHERE v.id = newest.newest_id LIMIT 1) o
WHERE o.stored_at >= %(since)s
"""


def forget() -> None:
    """Delete what nobody asked for in a long time."""
    Told.unrestricted.filter(at__lt=clock.now() - timedelta(days=DAYS)).delete()
