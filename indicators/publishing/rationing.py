"""Each member's share of the log: rows, not objects, for an object to many is told in as many channels (law 11).

All who publish wait for one another while places are given, and rows are kept: so what one member may make is bounded,
within a batch and within an hour. What it takes back or narrows is counted, and never refused.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from django.conf import settings

from exchange import clock
from exchange.errors import Refused, TooMany
from exchange.sql import Message, array_of_numbers
from indicators.log import changes
from indicators.log.changes import NewChange
from indicators.models import LogShare
from indicators.publishing.reach import Reach
from partners.viewer import Viewer


def require_room(objects: int, reach: Reach, *, by: Viewer) -> None:
    """Raise Refused (`too-many-rows`) for a batch that makes more rows than one may: objects times who is named.

    Each object is told in a channel of its publisher's and one for each group and partner that is named, or one for
    everyone.
    """
    default = by.default_audience
    named = len(reach.groups) + len(reach.partners) if reach.named else 0
    if not reach.named and default is not None:
        named = len(default.groups) + len(default.partners)
    if objects * (1 + max(1, named)) > settings.LOG_ROWS_PER_BATCH:
        raise Refused(
            "So many objects to so many groups and partners make too long a batch: send fewer at a time.",
            code="too-many-rows",
            at="/objects",
        )


def left_within(message: Message, by: Viewer) -> Callable[[], None]:
    """Have the message ask what the member made in this hour. Call what is returned once it is sent.

    It raises TooMany (`log-share`) where the hour's share is used up.
    """
    found = message.add(_MADE, [by.partner_id])

    def require() -> None:
        made = found.rows[0][0] if found.rows else 0
        if made >= settings.LOG_ROWS_PER_HOUR:
            moment = clock.now()
            next_hour = moment.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
            raise TooMany(
                "Your partner's share of the log is used up for this hour.",
                code="log-share",
                retry_after_s=int((next_hour - moment).total_seconds()) + 1,
            )

    return require


def tell(by: Viewer, told: Sequence[NewChange], *, within: Message | None = None) -> None:
    """Have a member's own changes appended to the log and their rows counted, with `within` when that is sent."""
    if not told:
        return
    message = within or Message()
    message.add(_COUNT, [by.partner_id, array_of_numbers(change.audience_id for change in told)])
    changes.append(told, by=by.partner_id, within=message)
    if within is None:
        message.send()


def forget_old() -> None:
    """Forget the hours before yesterday's."""
    LogShare.objects.filter(hour__lt=clock.now() - timedelta(days=2)).delete()


_HOUR = "date_trunc('hour', statement_timestamp(), 'UTC')"
_MADE = f"SELECT rows FROM indicators_logshare WHERE partner_id = %s AND hour = {_HOUR}"
_COUNT = f"""
INSERT INTO indicators_logshare AS share (partner_id, hour, rows)
SELECT %s, {_HOUR}, coalesce(sum(cardinality((
    SELECT a.channels FROM partners_audience a WHERE a.id = told.audience))), 0)
FROM unnest(%s::bigint[]) told(audience)
ON CONFLICT (partner_id, hour) DO UPDATE SET rows = share.rows + excluded.rows
"""
