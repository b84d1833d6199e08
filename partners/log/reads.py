"""What machines and people were handed: tallied by reader, surface, feed and hour; finished hours become records.

A page that handed out something is counted in the process, and all that was counted is added to the tallies within
WITHIN_S, in one statement that does not wait for the disk: a crash may lose the tallies of its last moments, never a
record. The only writer of ReadTally.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections.abc import Iterator
from dataclasses import astuple, dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID

from django.db import DataError, Error, IntegrityError, connection, transaction

from exchange import clock, sealing
from exchange.celery import app
from exchange.soon import Soon
from partners.log import audit
from partners.models import AuditRecord, Partner, ReadTally
from partners.viewer import Viewer

#: How long a count waits in the process, in seconds.
WITHIN_S = 0.2
#: So many readers' counts wait at most; further ones are written at once.
MOST_READERS = 10_000
#: A request that began in the last hour may still be under way for this long.
_GRACE = timedelta(minutes=5)
_PAGE = 500


class _Reader(NamedTuple):
    """Who reads what; one row of the tallies."""

    partner_id: UUID
    actor: str
    surface: str
    feed: str
    hour: datetime


@dataclass(slots=True)
class _Count:
    """What it was handed; the places are the first and the last in the change log."""

    pages: int
    objects: int
    first: int | None
    last: int | None

    def add(self, other: _Count) -> None:
        self.pages += other.pages
        self.objects += other.objects
        self.first = min((place for place in (self.first, other.first) if place is not None), default=None)
        self.last = max((place for place in (self.last, other.last) if place is not None), default=None)


_Counts = dict[_Reader, _Count]


class _Gathered:
    """What was counted and is not yet in the tallies."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._counts: _Counts = {}

    def add(self, counts: _Counts, *, most: int | None = None) -> bool:
        """Whether there was room; there always is without a bound."""
        with self._lock:
            if most is not None and len(self._counts) + len(counts) > most:
                return False
            for reader, count in counts.items():
                if (held := self._counts.get(reader)) is None:
                    self._counts[reader] = count
                else:
                    held.add(count)
        return True

    def take(self) -> _Counts:
        with self._lock:
            taken, self._counts = self._counts, {}
        return taken


def tally(
    viewer: Viewer,
    *,
    surface: str,
    objects: int,
    feed: str = "",
    places: tuple[int, int] | None = None,
    times: int = 1,
) -> None:
    """Count one page of `objects` that were handed out; `places` are the first and last of them in the change log.

    A page that belongs to a reading which was counted is none of its own: `times` is 0.

    Where nothing was handed out, nothing is done: asking is not reading. In a transaction, which may see what others do
    not see yet, it is one statement at once.
    """
    if objects <= 0:
        return
    hour = clock.now().replace(minute=0, second=0, microsecond=0)
    first, last = places or (None, None)
    counts = {_Reader(viewer.partner_id, viewer.actor, surface, feed, hour): _Count(times, objects, first, last)}
    if connection.in_atomic_block or not _GATHERED.add(counts, most=MOST_READERS):
        _write(counts)
    else:
        _SOON.ask()


def write_gathered() -> None:
    """Add what was counted in this process to the tallies; what cannot be written is kept for the next time."""
    counts = _GATHERED.take()
    if not counts:
        return
    try:
        _write(counts)
    except (DataError, IntegrityError):  # what is wrong with these does not become right
        raise
    except Error:
        _GATHERED.add(counts)
        raise
    finally:
        connection.close()


def _write(counts: _Counts) -> None:
    rows = sorted(counts.items(), key=lambda row: row[0])  # in one order, so that no two wait for each other
    columns = [list(column) for column in zip(*((*reader, *astuple(n)) for reader, n in rows), strict=True)]
    with connection.cursor() as cursor:
        cursor.execute(_TALLY, columns)


_GATHERED = _Gathered()
_SOON = Soon("exchange-reads", write_gathered, within_s=WITHIN_S)


def close(*, limit: int = _PAGE) -> int:
    """Turn at most `limit` tallies of finished hours into records; returns how many. May run in several places."""
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
    """A record of reading with its range of places, for the operator; without it where its SECRET_KEY was given up."""

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
            bound = _bound(record.actor, record.details)
            with contextlib.suppress(sealing.Broken):
                text = sealing.unseal(base64.b64decode(sealed), purpose="read-range", bound=bound)
                first, last = (int(place) for place in text.split(b"-"))
        yield Opened(record, first, last)


def _details(row: ReadTally) -> dict[str, Any]:
    """Places in the change log would tell how much others publish: their range is sealed, for the operator to open.

    All digits are written, since the length of what is sealed shows.
    """
    details: dict[str, Any] = {
        "hour": clock.rfc3339(row.hour),
        "feed": row.feed,
        "pages": row.pages,
        "objects": row.objects_read,
    }
    if row.first_seq is not None:
        places = f"{row.first_seq:019d}-{row.last_seq:019d}".encode()
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
SELECT new.* FROM quick, unnest(%s::uuid[], %s::text[], %s::text[], %s::text[], %s::timestamptz[],
                                %s::int[], %s::bigint[], %s::bigint[], %s::bigint[]) AS new
ON CONFLICT (partner_id, actor, surface, feed, hour) DO UPDATE SET
    pages = t.pages + excluded.pages,
    objects_read = t.objects_read + excluded.objects_read,
    first_seq = least(t.first_seq, excluded.first_seq),
    last_seq = greatest(t.last_seq, excluded.last_seq)
"""


@app.task(name="partners.log.reads.close_finished")
def close_finished() -> None:
    """Close every finished hour."""
    while close() == _PAGE:
        pass
