"""Where a reader's line of an id ends, the next one enters anew, for that reader alone.

A reader that follows a collection has passed the place where another publisher's versions entered: they were not in it
then (`lines`). So whoever lost sight of the holding that was their line, and sees another of the id, is told its
versions again. This follows the log for removes; `resighting` tells what is found, to one partner each. A creator that
comes into sight needs nothing of this: its own versions have just entered.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db import connection

from exchange import hints
from exchange.celery import app
from indicators.log import changes, following, walking
from indicators.reading import lines
from indicators.sight import resighting

#: How many removes are looked at in one transaction.
_PAGE = 1_000


def next_line(seen: Sequence[lines.Seen], *, lost: int) -> int | None:
    """The holding that takes the place of one that was lost, if that was the line; None where none is to be told."""
    left = [one for one in seen if one.visible]
    before = lines.best([one for one in seen if one.visible or one.id == lost])
    if before is None or before.id != lost or before.visible:
        return None
    now = lines.best(left)
    return None if now is None else now.id


def step(after: int) -> int:
    """Look at the next removes, and have told who lost their line by one; returns the place reached."""
    end = changes.head()
    with connection.cursor() as cursor:
        cursor.execute(_LOST, {"after": after, "end": end, "limit": _PAGE})
        rows = cursor.fetchall()
        owed: dict[tuple[UUID, int], set[int]] = {}
        for _, _, partner_id, group_id, told_in, lost in rows:
            if partner_id is None:
                continue
            cursor.execute(_OF_READER, {"viewer": partner_id, "groups": None, "group": group_id, "lost": lost})
            now = next_line([lines.Seen(*row) for row in cursor.fetchall()], lost=lost)
            if now is not None:
                owed.setdefault((partner_id, told_in), set()).add(now)
    for (partner_id, told_in), holdings in sorted(owed.items()):
        resighting.owe(partner_id, told_in, holdings)
    count, reached = rows[0][:2]
    return int(reached) if count == _PAGE else end


@app.task(name="indicators.sight.relining.catch_up")
def catch_up() -> None:
    """Tell who lost a line the next one."""
    if following.follow("lines", step):
        hint()
    resighting.catch_up()


def hint() -> None:
    """Ask a worker for it; to be called after the commit."""
    hints.SENDER.send_soon(catch_up)


# A row for each reader that lost sight of a holding by one of the next removes, where others hold its id, too: once for
# all that it reads, once for the collection of each group in which it did, with the channel in which it is told; and a
# row without these where there is none. First how many removes there were, and the place of the last. Walks
# `change_that_removes`, once for each channel.
_LOST = """
WITH page AS MATERIALIZED (
    SELECT DISTINCT ON (c.seq) c.seq, c.holding_id, c.version_id FROM partners_channel k CROSS JOIN LATERAL (
        SELECT * FROM indicators_change c
        WHERE c.channel = k.id AND c.op = 'remove' AND c.seq > %(after)s AND c.seq <= %(end)s
        ORDER BY c.seq LIMIT %(limit)s) c
    ORDER BY c.seq LIMIT %(limit)s
), lost AS (
    SELECT DISTINCT s.partner_id, told.group_id, told.id AS told_in, r.holding_id
    FROM page r
    JOIN indicators_holding h ON h.id = r.holding_id
    JOIN indicators_change c ON c.version_id = r.version_id AND c.seq = r.seq
    JOIN partners_channel k ON k.id = c.channel
    JOIN partners_sight s ON s.channel_id = k.id AND r.seq > s.since AND r.seq <= coalesce(s.until, r.seq)
    JOIN partners_channel told ON told.reach = 'told' AND told.partner_id = s.partner_id
     AND (told.group_id IS NULL OR told.group_id = k.group_id)
    JOIN partners_sight open ON open.channel_id = told.id AND open.partner_id = s.partner_id AND open.until IS NULL
    WHERE EXISTS (SELECT FROM indicators_holding t
                  WHERE t.stix_id = h.stix_id AND t.id <> h.id AND t.newest_id IS NOT NULL)
)
SELECT counted.count, counted.last, lost.*
FROM (SELECT count(*) AS count, max(seq) AS last FROM page) counted LEFT JOIN lost ON true
"""

# A row for each holding of the id of a lost one, as `lines.Seen`.
_OF_READER = f"""
WITH {walking.OF_SCOPE}
SELECT t.id, t.creator, u.attribution = 0 AND coalesce(p.identity_id = t.creator, false),
       {lines.FIRST.format(scope=f"(%(group)s::uuid IS NULL OR {walking.OF_GROUP})")},
       {lines.SEEN} AND (%(group)s::uuid IS NULL OR %(group)s = ANY(u.groups))
FROM indicators_holding t
JOIN partners_audience u ON u.id = t.audience_id
JOIN partners_partner p ON p.id = t.publisher_id
WHERE t.stix_id = (SELECT h.stix_id FROM indicators_holding h WHERE h.id = %(lost)s)
"""
