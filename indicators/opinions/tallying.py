"""What subscribers met of each object, by the hour: what their agents say of look-ups, and their sightings.

Counts are powers of ten, or none. They are read by the exchange alone, for the flood breaker and for sums over three or
more partners. The only writer of Tally.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import orjson
from django.db import InterfaceError, OperationalError, connection, transaction
from structlog import get_logger

from exchange import clock
from exchange.errors import Refused
from indicators.log import changes
from indicators.models import Holding, Tally
from indicators.opinions import about
from indicators.opinions.sighting import bucket
from indicators.stix import identifiers
from partners.keys import auth
from partners.models import Partner
from partners.viewer import Viewer

log = get_logger()

#: Objects that one call speaks of, and rows that one partner has for one hour: law 11.
MOST, MOST_AN_HOUR = 500, 20_000
#: How late a count may come, and how long it is kept.
LATEST, KEPT = timedelta(hours=48), timedelta(days=90)
SIGHTING = "sighting:"
_PAGE = 1_000


@dataclass(frozen=True, slots=True)
class Met:
    """What one instance met of one object in one hour: look-ups that met it, and of these what was blocked."""

    stix_id: str
    hour: datetime
    matched: int
    blocked: int


def read(said: Sequence[Any], *, now: datetime) -> list[Met]:
    """What an instance says, as values. Raises Refused naming the field."""
    if len(said) > MOST:
        raise Refused(f"At most {MOST} objects at a time.", code="too-many-objects", at="/met")
    return [_read(one, at=f"/met/{place}", now=now) for place, one in enumerate(said)]


def _read(one: Any, *, at: str, now: datetime) -> Met:
    if not isinstance(one, dict) or set(one) - {"id", "hour", "matched", "blocked"}:
        raise Refused("An id, an hour, matched and blocked.", code="bad-receipt", at=at)
    stix_id, hour = one.get("id"), one.get("hour")
    if not isinstance(stix_id, str) or not identifiers.ID.fullmatch(stix_id):
        raise Refused("Not an identifier.", code="bad-id", at=f"{at}/id")
    try:
        moment = datetime.fromisoformat(hour).astimezone(UTC) if isinstance(hour, str) else None
    except (ValueError, OverflowError):
        moment = None
    if moment is None or moment != hour_of(moment) or not now - LATEST <= moment <= now:
        raise Refused("A full hour of the last two days, in UTC.", code="bad-time", at=f"{at}/hour")
    counts = [one.get(name) or 0 for name in ("matched", "blocked")]
    for name, count in zip(("matched", "blocked"), counts, strict=True):
        if not isinstance(count, int) or isinstance(count, bool) or count < 0:
            raise Refused("A number from 0 on.", code="bad-count", at=f"{at}/{name}")
    return Met(identifiers.folded(stix_id), moment, counts[0], counts[1])


def hour_of(moment: datetime) -> datetime:
    """The full hour that a moment lies in."""
    return moment.replace(minute=0, second=0, microsecond=0)


def take(viewer: Viewer, said: Iterable[Met], *, by: str) -> None:
    """Keep what an instance says. Of what the viewer does not see, or published itself, nothing is kept or told."""
    met = list(said)
    if not met:
        return
    seen = Holding.objects.visible_to(viewer).filter(
        stix_id__in={one.stix_id for one in met}, newest__isnull=False, state=Holding.State.LIVE
    )
    holdings: dict[str, list[int]] = {}
    for pk, stix_id in seen.exclude(publisher=viewer.partner_id).order_by("pk").values_list("pk", "stix_id"):
        holdings.setdefault(stix_id, []).append(pk)
    rows = [
        (holding, one.hour, floored(one.matched), floored(one.blocked))
        for one in met
        for holding in holdings.get(one.stix_id, ())
    ]
    _keep(viewer.partner_id, rows, by=by)


def floored(count: int) -> int:
    """The power of ten below, and 0 for none."""
    return bucket(count) if count else 0


def _keep(partner_id: UUID, rows: Collection[tuple[int, datetime, int, int]], *, by: str) -> None:
    """Keep what is not kept yet; of one hour the largest count stands. More than the hour's share is dropped."""
    if not rows:
        return
    columns = dict(zip("hmnb", ([*column] for column in zip(*rows, strict=True)), strict=True))
    parameters: dict[str, Any] = {"partner": partner_id, "by": by, "at": clock.now(), "most": MOST_AN_HOUR}
    with connection.cursor() as cursor:
        cursor.execute(_KEEP, parameters | columns)


# Walks, for the share, the index over partner and hour.
_KEEP = """
INSERT INTO indicators_tally AS t (holding_id, partner_id, said_by, hour, matched, blocked, at)
SELECT said.holding, %(partner)s, %(by)s, said.hour, max(said.matched), max(said.blocked), %(at)s
FROM unnest(%(h)s::bigint[], %(m)s::timestamptz[], %(n)s::bigint[], %(b)s::bigint[])
     AS said(holding, hour, matched, blocked)
WHERE said.hour = ANY(ARRAY(
    SELECT u.hour FROM (SELECT DISTINCT unnest(%(m)s::timestamptz[]) AS hour) u
    WHERE (SELECT count(*) FROM indicators_tally o WHERE o.partner_id = %(partner)s AND o.hour = u.hour) < %(most)s))
GROUP BY said.holding, said.hour ORDER BY said.holding, said.hour
ON CONFLICT (holding_id, partner_id, said_by, hour) DO UPDATE
SET matched = greatest(t.matched, excluded.matched), blocked = greatest(t.blocked, excluded.blocked),
    at = excluded.at
WHERE t.matched < excluded.matched OR t.blocked < excluded.blocked
"""


def find(*, after: int, limit: int = _PAGE) -> int:
    """Count the sightings among the next `limit` changes after place `after`; returns the place reached."""
    end = changes.head()
    with connection.cursor() as cursor:
        cursor.execute(_FIND, {"after": after, "end": end, "limit": limit})
        count, last, found = cursor.fetchone()
    for holding in Holding.unrestricted.filter(pk__in=found or ()).select_related("newest", "audience").order_by("pk"):
        _record_or_pass(holding)
    return int(last) if count == limit else end


# One row: how many changes there were, the place of the last, and the holdings of sightings among them.
_FIND = """
SELECT count(*), max(c.seq), array_agg(DISTINCT h.id) FILTER (WHERE h.stix_type = 'sighting')
FROM (
    SELECT c.seq, c.holding_id FROM partners_channel own CROSS JOIN LATERAL (
        SELECT * FROM indicators_change c
        WHERE c.channel = own.id AND c.seq > %(after)s AND c.seq <= %(end)s ORDER BY c.seq LIMIT %(limit)s
    ) c WHERE own.reach = 'own' ORDER BY c.seq LIMIT %(limit)s
) c JOIN indicators_holding h ON h.id = c.holding_id
"""


def _record_or_pass(sighting: Holding) -> None:
    """The same for one; what breaks here is said in the log and passed: a stranger wrote it, and all others wait."""
    try:
        with transaction.atomic():
            _record(sighting)
    except (InterfaceError, OperationalError):  # the database, not what somebody said: the whole step is tried again
        raise
    except Exception:
        log.exception("sighting.not-counted", sighting=sighting.pk)


def _record(sighting: Holding) -> None:
    """Bring what is kept of a sighting to what it says now: nothing, where it has ended."""
    by = f"{SIGHTING}{sighting.pk}"
    Tally.unrestricted.filter(partner=sighting.publisher_id, said_by=by).delete()
    if sighting.newest is None or sighting.state != Holding.State.LIVE:
        return
    if not Partner.objects.filter(pk=sighting.publisher_id).exists():
        return
    giver = auth.viewer_whatever_state(sighting.publisher_id)  # suspended, it counts again later (`counting`)
    said: Mapping[str, Any] = orjson.loads(sighting.newest.body)
    seen, count, target = said.get("last_seen"), said.get("count", 1), said.get("sighting_of_ref")
    moment = clock.moment_of(seen) if isinstance(seen, str) else None
    if moment is None or not isinstance(count, int) or count < 1 or not isinstance(target, str):
        return
    hour = hour_of(moment)
    if not clock.now() - KEPT <= hour <= clock.now():
        return
    rows = [(one.pk, hour, floored(count), 0) for one in about.meant(giver, [identifiers.folded(target)])]
    _keep(sighting.publisher_id, rows, by=by)


def hand_over(became: Mapping[int, int], *, heir_id: UUID) -> None:
    """Count what others met of holdings for those of the heir that took their place, by key."""
    with connection.cursor() as cursor:
        cursor.execute(_HAND_OVER, [list(became), list(became.values()), heir_id])


_HAND_OVER = """
UPDATE indicators_tally t SET holding_id = new.heirs
FROM unnest(%s::bigint[], %s::bigint[]) AS new(id, heirs) WHERE t.holding_id = new.id AND t.partner_id <> %s
"""


def forget() -> None:
    """Delete what is older than it is kept."""
    Tally.unrestricted.filter(hour__lt=clock.now() - KEPT).delete()
