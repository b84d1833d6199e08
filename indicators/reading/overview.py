"""What is new, in numbers, for the start page: each asked through the rule."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db import connection
from django.db.models import Count, Max
from django.utils.crypto import salted_hmac

from exchange import clock
from exchange.sql import ask
from exchange.translating import later
from indicators.log import changes, walking
from indicators.models import Delivery, Holding, Quarantined
from partners import sharing, sources
from partners.viewer import Viewer

#: The kinds as the chart stacks them, and their names; classical STIX is "other".
KINDS = {
    "account-pattern": later("Account patterns"),
    "payment-fingerprint": later("Payment fingerprints"),
    "prompt-signature": later("Prompt signatures"),
    "other": later("Other STIX"),
}
HOURS = 24
#: Matches are counted up to here; more are so many "and more".
MOST_COUNTED = 500


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
class Arrivals:
    """What came in within a day: by hour and kind, and of how many publishers, as the viewer knows them."""

    hours: dict[datetime, dict[str, int]]
    publishers: int


def arrivals(viewer: Viewer, *, hours: int = HOURS) -> Arrivals:
    """What came in of what the viewer may see, this hour and those before it; every hour is there.

    An object may have another audience by now than when it came in: whom it went to beside the viewer moves nothing.
    Two queries, and one more where somebody hides.
    """
    first = clock.now().replace(minute=0, second=0, microsecond=0) - timedelta(hours=hours - 1)
    counted: dict[datetime, dict[str, int]] = {first + timedelta(hours=hour): {} for hour in range(hours)}
    with connection.cursor() as cursor:
        cursor.execute(_ARRIVED, walking.of(viewer) | {"since": first})
        rows = cursor.fetchall()
    veiled = sources.veiled(viewer, {audience for _, _, audience, _, _ in rows})
    for hour, kind, *_, count in rows:
        of_hour, name = counted.setdefault(hour, {}), kind if kind in KINDS else "other"
        of_hour[name] = of_hour.get(name, 0) + count
    publishers = {veiled[audience].id if audience in veiled else publisher for _, _, audience, publisher, _ in rows}
    return Arrivals(hours=counted, publishers=len(publishers))


def sees_anything(viewer: Viewer) -> bool:
    """Whether there is any object that the viewer may see. Two queries."""
    return Holding.objects.visible_to(viewer).filter(newest__isnull=False).exists()


def place(viewer: Viewer) -> str:
    """A word that changes whenever what the start page shows may have changed. Four queries, each a look at an index.

    It is asked every few seconds for each open page, and keyed, since places in the log are not for readers. Matches
    are found where objects arrive.
    """
    seq = changes.own_end(viewer)
    waiting = Quarantined.objects.of(viewer).aggregate(count=Count("pk"), last=Max("pk"))
    failing = Delivery.objects.of(viewer).filter(state=Delivery.State.DEAD).count()
    told = repr((viewer.sight, seq, waiting, failing, f"{clock.now():%d%H}"))
    return salted_hmac("indicators.reading.overview.place", told, algorithm="sha256").hexdigest()[:16]


# What came in since a date and the viewer sees now, each once: not what came into its sight. Walks its channels from
# that date on.
_ARRIVED = f"""
WITH {walking.OPEN}, {walking.past("%(since)s::timestamptz")}, arrived AS (
    SELECT DISTINCT c.seq, c.date_added, h.kind, h.publisher_id, h.audience_id
    FROM mine CROSS JOIN LATERAL (
        SELECT c.seq, c.date_added, c.holding_id FROM indicators_change c
        WHERE c.channel = mine.channel AND c.seq > greatest(mine.since, (SELECT past.seq FROM past))
          AND c.op = 'upsert' AND c.reason <> 'granted'
    ) c JOIN indicators_holding h ON h.id = c.holding_id
    WHERE {walking.SEES.format(audience="h.audience_id")}
)
SELECT date_trunc('hour', date_added, 'UTC'), kind, audience_id, publisher_id, count(*)
FROM arrived GROUP BY 1, 2, 3, 4
"""


def ends(viewer: Viewer, first: datetime, last: datetime, *, most: int) -> list[datetime]:
    """When what of the viewer's own lives until then ends, between two moments, the next first. Two queries."""
    asked = {"own": sharing.audience_ids(viewer, own=True), "first": first, "last": last, "most": most}
    return [until for (until,) in ask(_ENDS, asked, settings=walking.BY_INDEX)]


# Of one's own alone, whatever ends of others': each page of the table once, not once for each audience on it.
_ENDS = """
SELECT h.valid_until FROM (SELECT * FROM indicators_holding own WHERE own.audience_id = ANY(%(own)s) OFFSET 0) h
WHERE h.state = 'live' AND h.valid_until >= %(first)s AND h.valid_until <= %(last)s
ORDER BY h.valid_until LIMIT %(most)s
"""


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
