"""What is new, in numbers, for the start page: each asked through the rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Max
from django.utils.crypto import salted_hmac

from exchange import clock
from indicators.models import Delivery, Match, Quarantined
from partners import sources
from partners.sharing import Viewer, audience_ids

#: The kinds as the chart stacks them, and their names; classical STIX is "other".
KINDS = {
    "account-pattern": "Account patterns",
    "payment-fingerprint": "Payment fingerprints",
    "prompt-signature": "Prompt signatures",
    "other": "Other STIX",
}
HOURS = 24


@dataclass(frozen=True, slots=True)
class Bar:
    """One piece of the chart, in its own units of 1/1000 of the chart's width and height."""

    kind: str
    x: float
    y: float
    width: float
    height: float
    label: str


@dataclass(frozen=True, slots=True)
class Figures:
    """Totals of the last 24 hours."""

    arrivals: int
    publishers: int
    matches: int
    waiting: int
    failing: int


def arrivals(viewer: Viewer, *, hours: int = HOURS) -> dict[datetime, dict[str, int]]:
    """What came in, by hour and kind, of what the viewer may see; every hour is there. Two queries.

    An object may have another audience by now than when it came in: whom it went to beside the viewer moves nothing.
    """
    moment = clock.now()
    first = moment.replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    counted: dict[datetime, dict[str, int]] = {first + timedelta(hours=hour): {} for hour in range(hours)}
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT date_trunc('hour', c.date_added, 'UTC'), coalesce(h.kind, 'other'), count(*)
            FROM indicators_change c JOIN indicators_holding h ON h.id = c.holding_id
            WHERE c.date_added >= %(first)s AND c.op = 'upsert'
              AND c.audience_id = ANY(%(seen)s) AND h.audience_id = ANY(%(seen)s)
            GROUP BY 1, 2
            """,
            {"first": first, "seen": audience_ids(viewer)},
        )
        for hour, kind, count in cursor.fetchall():
            counted.setdefault(hour, {})[kind if kind in KINDS else "other"] = count
    return counted


def place(viewer: Viewer) -> str:
    """A word that changes whenever what the start page shows may have changed. Four queries, each a look at an index.

    It is asked every few seconds for each open page, and keyed, since places in the log are not for readers.
    """
    audiences = audience_ids(viewer)
    with connection.cursor() as cursor:
        cursor.execute(_NEWEST_SEQ, [audiences])
        (seq,) = cursor.fetchone()
    match = Match.objects.visible_to(viewer).order_by("-pk").values_list("pk", flat=True).first()
    waiting = Quarantined.objects.of(viewer).aggregate(count=Count("pk"), last=Max("pk"))
    failing = Delivery.objects.of(viewer).filter(state=Delivery.State.DEAD).count()
    told = repr((audiences, seq, match, waiting, failing, f"{clock.now():%d%H}"))
    return salted_hmac("indicators.overview.place", told, algorithm="sha256").hexdigest()[:16]


_NEWEST_SEQ = """
SELECT max(newest.seq) FROM unnest(%s::bigint[]) seen(audience_id), LATERAL (
    SELECT c.seq FROM indicators_change c WHERE c.audience_id = seen.audience_id ORDER BY c.seq DESC LIMIT 1
) newest
"""


def figures(viewer: Viewer) -> Figures:
    """Totals for the tiles. Queries: publishers, matches, quarantine, deliveries; sources as the viewer knows them."""
    since = clock.now() - timedelta(hours=HOURS)
    audiences = audience_ids(viewer)
    veiled = sources.veiled(viewer, audiences)
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT coalesce(sum(arrived), 0)::bigint, count(DISTINCT coalesce(s.source, c.publisher_id)) FROM ("
            " SELECT audience_id, publisher_id, count(*) AS arrived FROM indicators_change"
            " WHERE date_added >= %s AND op = 'upsert' AND audience_id = ANY(%s) GROUP BY 1, 2) c"
            " LEFT JOIN unnest(%s::bigint[], %s::uuid[]) s (audience_id, source) USING (audience_id)",
            [since, audiences, list(veiled), [source.id for source in veiled.values()]],
        )
        arrived, publishers = cursor.fetchone()
    return Figures(
        arrivals=arrived,
        publishers=publishers,
        matches=Match.objects.visible_to(viewer)
        .filter(found_at__gte=since)
        .exclude(left__holding__publisher=viewer.partner_id, right__holding__publisher=viewer.partner_id)
        .count(),
        waiting=Quarantined.objects.of(viewer).count(),
        failing=Delivery.objects.of(viewer).filter(state=Delivery.State.DEAD).count(),
    )


def bars(counted: dict[datetime, dict[str, int]]) -> list[Bar]:
    """Stacked bars, oldest hour first; the highest hour fills the height."""
    most = max((sum(kinds.values()) for kinds in counted.values()), default=0) or 1
    width = 1000 / max(len(counted), 1)
    made = []
    for place, (hour, kinds) in enumerate(sorted(counted.items())):
        top = 1000.0
        for kind, name in KINDS.items():
            count = kinds.get(kind, 0)
            height = 1000 * count / most
            top -= height
            if count:
                label = f"{hour:%H}:00, {name}: {count}"
                made.append(Bar(kind, place * width + width * 0.12, top, width * 0.76, height, label))
    return made
