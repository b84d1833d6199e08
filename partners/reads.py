"""What machines and people were handed: tallied by reader, surface, feed and hour; finished hours become records.

A page that handed out something costs one more statement, which does not wait for the disk: a crash may lose the
tallies of its last moments, never a record. The only writer of ReadTally.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.db import connection, transaction

from exchange import clock, sealing
from exchange.celery import app
from partners import audit
from partners.models import AuditRecord, Partner, ReadTally
from partners.sharing import Viewer

#: A request that began in the last hour may still be under way for this long.
_GRACE = timedelta(minutes=5)
_PAGE = 500


def tally(viewer: Viewer, *, surface: str, objects: int, feed: str = "", places: tuple[int, int] | None = None) -> None:
    """Count one page of `objects` that were handed out; `places` are the first and last of them in the change log.

    Where nothing was handed out, nothing is done: asking is not reading. One statement.
    """
    if objects <= 0:
        return
    with connection.cursor() as cursor:
        cursor.execute(
            _TALLY,
            {
                "partner": viewer.partner_id,
                "actor": viewer.actor,
                "surface": surface,
                "feed": feed,
                "hour": clock.now().replace(minute=0, second=0, microsecond=0),
                "objects": objects,
                "first": places[0] if places else None,
                "last": places[1] if places else None,
            },
        )


def close(*, limit: int = _PAGE) -> int:
    """Turn at most `limit` tallies of finished hours into records; yields how many. May run in several places."""
    finished = (clock.now() - _GRACE).replace(minute=0, second=0, microsecond=0)
    with transaction.atomic():
        due = list(
            ReadTally.objects.select_for_update(skip_locked=True)
            .filter(hour__lt=finished)
            .order_by("hour", "pk")[:limit]
        )
        for row in due:
            audit.write(
                audit.Verb.READ_AGGREGATED,
                partner_id=row.partner_id,
                actor=row.actor,
                target=row.surface,
                details=_details(row),
            )
        ReadTally.objects.filter(pk__in=[row.pk for row in due]).delete()
    return len(due)


@dataclass(frozen=True, slots=True)
class Opened:
    """A record of reading with its range of places, for the operator."""

    record: AuditRecord
    first: int | None
    last: int | None


def opened(partner: Partner) -> Iterator[Opened]:
    """What a partner's readers were handed, with the ranges of `seq` in clear. For the operator's eyes."""
    found = AuditRecord.objects.filter(partner=partner, verb=audit.Verb.READ_AGGREGATED).order_by("pk")
    for record in found.iterator():
        sealed = record.details.get("seq")
        first = last = None
        if sealed:
            text = sealing.unseal(
                base64.b64decode(sealed), purpose="read-range", bound=_bound(record.actor, record.details)
            )
            first, last = (int(place) for place in text.split(b"-"))
        yield Opened(record, first, last)


def _details(row: ReadTally) -> dict[str, Any]:
    """Places in the change log would tell how much others publish: their range is sealed, for the operator to open."""
    details: dict[str, Any] = {
        "hour": clock.rfc3339(row.hour),
        "feed": row.feed,
        "pages": row.pages,
        "objects": row.objects_read,
    }
    if row.first_seq is not None:
        places = f"{row.first_seq}-{row.last_seq}".encode()
        sealed = sealing.seal(places, purpose="read-range", bound=_bound(row.actor, details))
        details["seq"] = base64.b64encode(sealed).decode()
    return details


def _bound(actor: str, details: dict[str, Any]) -> tuple[bytes, bytes]:
    return actor.encode(), str(details["hour"]).encode()


# For this statement alone the commit does not wait for the log to reach the disk.
_TALLY = """
WITH quick AS MATERIALIZED (SELECT set_config('synchronous_commit', 'off', true))
INSERT INTO partners_readtally AS t
    (partner_id, actor, surface, feed, hour, pages, objects_read, first_seq, last_seq)
SELECT %(partner)s, %(actor)s, %(surface)s, %(feed)s, %(hour)s, 1, %(objects)s, %(first)s, %(last)s FROM quick
ON CONFLICT (partner_id, actor, surface, feed, hour) DO UPDATE SET
    pages = t.pages + 1,
    objects_read = t.objects_read + excluded.objects_read,
    first_seq = least(t.first_seq, excluded.first_seq),
    last_seq = greatest(t.last_seq, excluded.last_seq)
"""


@app.task(name="partners.reads.close_finished")
def close_finished() -> None:
    """Close every finished hour."""
    while close() == _PAGE:
        pass
